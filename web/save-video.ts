/**
 * An answer as a file: H.264 as the library writes it, or VP9 where the browser cannot encode that.
 * @module
 */
import { BufferTarget, EncodedPacket, EncodedVideoPacketSource, Mp4OutputFormat, Output } from "mediabunny";
import { encodeMp4 } from "../src/media/encode-mp4.ts";
import type { RgbImage } from "../src/media/index.ts";
import { yuv420FromRgb } from "../src/media/yuv.ts";

/** Bits a second; flat drawings at this rate show no artefacts. */
const BITRATE = 4_000_000;
const H264 = "avc1.42001f";
const VP9 = "vp09.00.30.08";

interface Facts {
  readonly frameRateHz: number;
  readonly metadata: string;
  readonly title: string;
}

async function* each(frames: readonly RgbImage[]): AsyncGenerator<RgbImage> {
  yield* frames;
}

/** Bytes of an mp4. */
export async function saveVideo(
  frames: readonly RgbImage[],
  facts: Facts,
): Promise<{ readonly bytes: Uint8Array<ArrayBuffer>; readonly mediaType: string }> {
  const { height, width } = frames[0]!;
  const asked = { codec: H264, width, height, bitrate: BITRATE, avc: { format: "avc" } as const };
  const { supported } = await VideoEncoder.isConfigSupported(asked);
  const bytes = supported
    ? await encodeMp4({ kind: "encode", frameCount: frames.length, bitrate: BITRATE, ...facts }, each(frames))
    : await encodeVp9(frames, facts);
  return { bytes: bytes as Uint8Array<ArrayBuffer>, mediaType: "video/mp4" };
}

async function encodeVp9(frames: readonly RgbImage[], facts: Facts): Promise<Uint8Array> {
  const target = new BufferTarget();
  const output = new Output({ format: new Mp4OutputFormat({ fastStart: "in-memory" }), target });
  const source = new EncodedVideoPacketSource("vp9");
  output.addVideoTrack(source, { frameRate: facts.frameRateHz });
  output.setMetadataTags({ comment: facts.metadata, title: facts.title });
  await output.start();
  const secs = 1 / facts.frameRateHz;
  const packets: Promise<void>[] = [];
  let failure: Error | undefined;
  const encoder = new VideoEncoder({
    output: (chunk, meta) => {
      const data = new Uint8Array(chunk.byteLength);
      chunk.copyTo(data);
      const number = packets.length;
      packets.push(source.add(new EncodedPacket(data, chunk.type, number * secs, secs, number), meta));
    },
    error: (error) => {
      failure = error;
    },
  });
  const { height, width } = frames[0]!;
  encoder.configure({ codec: VP9, width, height, bitrate: BITRATE, framerate: facts.frameRateHz });
  frames.forEach((image, number) => {
    const { planes } = yuv420FromRgb(image);
    const timestamp = Math.round(number * secs * 1e6);
    const frame = new VideoFrame(planes, { format: "I420", codedWidth: width, codedHeight: height, timestamp });
    encoder.encode(frame, { keyFrame: number === 0 });
    frame.close();
  });
  await encoder.flush();
  if (failure) throw failure;
  await Promise.all(packets);
  await output.finalize();
  return new Uint8Array(target.buffer!);
}
