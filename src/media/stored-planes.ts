/**
 * The planes of decoded video as the codec stores them, brought to 8 bits a sample.
 *
 * The library (node-webcodecs 1.3) has names for the usual 8-bit formats only. Of all others (full range, grey, more than
 * 8 bits, RGB) it hands out the right bytes, but not what they are, and its own conversions of them give uninitialised
 * memory. So the format is worked out from the number of bytes and the codec string; where that leaves two readings, the
 * frame is refused.
 * @module
 */
import { YUV_LAYOUTS, type YuvLayout, yuvByteCount } from "./yuv.ts";

/** Planes of 8-bit samples. */
export interface StoredPlanes {
  readonly planes: Uint8Array;
  readonly layout: YuvLayout;
}

/** A decoded frame without a named format. */
export interface UnnamedFrame {
  readonly height: number;
  readonly width: number;
  /** Bytes of all its planes. */
  readonly byteCount: number;
  /** Copies them. */
  readonly copyTo: (destination: Buffer) => void;
}

const LAYOUTS = Object.keys(YUV_LAYOUTS) as YuvLayout[];

/** Neutral chroma, for grey video. */
const NO_COLOUR = 128;

/**
 * Planes of a frame whose format has no name; undefined where bytes and codec string do not tell.
 *
 * @param codec as in `VideoDecoderConfig`
 * @param isRgb whether the file says that its planes are green, blue and red
 */
export function unnamedPlanes(frame: UnnamedFrame, codec: string, isRgb: boolean): StoredPlanes | undefined {
  const { height, width, byteCount } = frame;
  const depth = bitDepth(codec);
  if (depth === undefined || isRgb) return undefined;
  const copied = (): Buffer => {
    const bytes = Buffer.alloc(byteCount);
    frame.copyTo(bytes);
    return bytes;
  };
  const samples = (): Uint8Array => (depth === 8 ? copied() : eightBits(copied(), depth));
  const sampleBytes = depth === 8 ? 1 : 2;
  const layout = LAYOUTS.find((name) => yuvByteCount(name, height, width) * sampleBytes === byteCount);
  // Three 8-bit planes of full size that are not called I444 are those of RGB.
  if (layout !== undefined && !(layout === "I444" && depth === 8)) return { planes: samples(), layout };
  // The profiles for 10 bits allow 8 as well: full-range 4:2:0 and 4:2:2.
  const shallow = LAYOUTS.find((name) => yuvByteCount(name, height, width) === byteCount);
  if (depth > 8 && shallow !== undefined && shallow !== "I444" && mayBeShallow(codec, shallow))
    return { planes: copied(), layout: shallow };
  if (byteCount === height * width * sampleBytes) {
    const planes = new Uint8Array(yuvByteCount("I420", height, width)).fill(NO_COLOUR);
    planes.set(samples());
    return { planes, layout: "I420" };
  }
  return undefined;
}

/** Samples of more than 8 bits, low byte first, rounded to 8. */
export function eightBits(samples: Uint8Array, depth: number): Uint8Array {
  const shift = depth - 8;
  const half = 1 << (shift - 1);
  const out = new Uint8Array(samples.length >> 1);
  for (let i = 0; i < out.length; i++) {
    const value = (samples[2 * i]! | (samples[2 * i + 1]! << 8)) + half;
    out[i] = Math.min(value >> shift, 255);
  }
  return out;
}

/** Grey of 10 bits has as many bytes as 4:2:2 of 8 bits, which only the 4:2:2 profile has. */
function mayBeShallow(codec: string, layout: YuvLayout): boolean {
  return codec.startsWith("avc1.") && (layout === "I420" || codec.slice(5, 7).toLowerCase() === "7a");
}

/**
 * Bits a sample, by the codec string (RFC 6381 and the codecs' own registrations). Undefined for profiles that leave it
 * open: H.264's High 4:4:4 and HEVC's range extensions.
 */
function bitDepth(codec: string): number | undefined {
  if (/^avc[13]\./.test(codec)) {
    const profile = codec.slice(5, 7).toLowerCase();
    if (profile === "f4" || profile === "2c") return undefined;
    return profile === "6e" || profile === "7a" ? 10 : 8;
  }
  if (codec.startsWith("vp09.") || codec.startsWith("av01.")) {
    const depth = Number(codec.split(".")[3]);
    return depth >= 8 && depth <= 16 ? depth : undefined;
  }
  const hevc = /^(?:hev1|hvc1)\.[ABC]?(\d+)\./.exec(codec);
  if (hevc) return { "1": 8, "2": 10, "3": 8 }[hevc[1]!];
  return codec.startsWith("vp8") ? 8 : undefined;
}
