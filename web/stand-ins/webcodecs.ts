/**
 * The browser's codecs with the manners of node-webcodecs: a frame's planes can be copied at once. Takes the place of
 * src/media/webcodecs.ts.
 * @module
 */
import { backendMissing } from "../../src/media/media-errors.ts";

/** A decoded frame whose planes are already in memory. */
interface CopiedFrame {
  readonly codedHeight: number;
  readonly codedWidth: number;
  close(): void;
  _getNative(): { readonly format: string; copyTo(into: Uint8Array): void };
}

interface Callbacks {
  readonly output: (frame: CopiedFrame) => void;
  readonly error: (error: Error) => void;
}

/** A decoder that hands a frame out when its planes have been copied. */
class CopyingDecoder {
  readonly #inner: VideoDecoder;
  #copied: Promise<void> = Promise.resolve();
  #failure: unknown;

  constructor({ output, error }: Callbacks) {
    this.#inner = new VideoDecoder({
      output: (frame) => {
        this.#copied = this.#copied
          .then(async () => output(await copyOf(frame)))
          .catch((cause: unknown) => {
            this.#failure ??= cause;
          })
          .finally(() => frame.close());
      },
      error,
    });
  }

  configure({ codec, codedWidth, codedHeight, description }: VideoDecoderConfig): void {
    this.#inner.configure({
      codec,
      ...(codedWidth !== undefined && { codedWidth }),
      ...(codedHeight !== undefined && { codedHeight }),
      ...(description !== undefined && { description }),
      // The planes of software decoders can be read as they are; and they are the same on every machine.
      hardwareAcceleration: "prefer-software",
    });
  }

  decode(chunk: EncodedVideoChunk): void {
    if (this.#inner.state === "configured") this.#inner.decode(chunk);
  }

  async flush(): Promise<void> {
    if (this.#inner.state === "configured") await this.#inner.flush().catch(() => undefined);
    await this.#copied;
    if (this.#failure !== undefined) throw this.#failure;
  }

  close(): void {
    if (this.#inner.state !== "closed") this.#inner.close();
  }
}

async function copyOf(frame: VideoFrame): Promise<CopiedFrame> {
  const { width, height } = frame.visibleRect!;
  const { format, planes } = await planesOf(frame, width, height);
  return {
    codedHeight: height,
    codedWidth: width,
    close: () => undefined,
    _getNative: () => ({ format, copyTo: (into) => into.set(planes.subarray(0, into.length)) }),
  };
}

async function planesOf(
  frame: VideoFrame,
  width: number,
  height: number,
): Promise<{ readonly format: string; readonly planes: Uint8Array }> {
  const format = frame.format ?? "RGBA";
  const columns = (width + 1) >> 1;
  const rows = (height + 1) >> 1;
  if (format === "I420" || format === "I422" || format === "I444") {
    const chromaColumns = format === "I444" ? width : columns;
    const chroma = chromaColumns * (format === "I420" ? rows : height);
    const planes = new Uint8Array(width * height + 2 * chroma);
    const layout = [
      { offset: 0, stride: width },
      { offset: width * height, stride: chromaColumns },
      { offset: width * height + chroma, stride: chromaColumns },
    ];
    await frame.copyTo(planes, { layout });
    return { format, planes };
  }
  if (format === "NV12") {
    const both = new Uint8Array(width * height + 2 * columns * rows);
    const layout = [
      { offset: 0, stride: width },
      { offset: width * height, stride: 2 * columns },
    ];
    await frame.copyTo(both, { layout });
    const planes = both.slice();
    for (let i = 0, from = width * height; i < columns * rows; i++) {
      planes[width * height + i] = both[from++]!;
      planes[width * height + columns * rows + i] = both[from++]!;
    }
    return { format: "I420", planes };
  }
  const rgba = new Uint8Array(width * height * 4);
  await frame.copyTo(rgba, { format: "RGBA" } as VideoFrameCopyToOptions);
  return { format: "I444", planes: planesOfRgba(rgba, frame.colorSpace.matrix === "bt709") };
}

/** Limited-range planes at full size, for browsers that hand out converted frames only. ITU-R BT.601 and BT.709. */
function planesOfRgba(rgba: Uint8Array, isBt709: boolean): Uint8Array {
  const red = isBt709 ? 0.2126 : 0.299;
  const blue = isBt709 ? 0.0722 : 0.114;
  const pixels = rgba.length / 4;
  const planes = new Uint8Array(pixels * 3);
  for (let i = 0; i < pixels; i++) {
    const r = rgba[4 * i]!;
    const b = rgba[4 * i + 2]!;
    const luma = red * r + (1 - red - blue) * rgba[4 * i + 1]! + blue * b;
    planes[i] = Math.round(16 + (luma * 219) / 255);
    planes[pixels + i] = Math.round(128 + ((b - luma) / (2 * (1 - blue))) * (224 / 255));
    planes[2 * pixels + i] = Math.round(128 + ((r - luma) / (2 * (1 - red))) * (224 / 255));
  }
  return planes;
}

/** See src/media/webcodecs.ts. */
export async function loadWebCodecs(what: string): Promise<Record<string, unknown>> {
  if (typeof VideoDecoder === "undefined" || typeof VideoEncoder === "undefined")
    throw backendMissing(what, new Error("this browser has no WebCodecs"));
  return { VideoDecoder: CopyingDecoder, VideoEncoder, VideoFrame, EncodedVideoChunk };
}
