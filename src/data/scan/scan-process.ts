/**
 * The scanning process: decodes a whole video once, frame by frame, and sends thumbnails. It runs apart, because
 * decoders are native code that reads other people's files. Never imported by the rest.
 * @module
 */
import { Worker } from "node:worker_threads";
import { EncodedPacketSink, FilePathSource, Input, MATROSKA, MP4, QTFF, WEBM } from "mediabunny";
import type { VideoFrame } from "node-webcodecs";
import { isVansError } from "../../base/errors.ts";
import { frameTimesFrom } from "../../media/media-info.ts";
import { impossibleClaim } from "../../media/mp4-boxes.ts";
import { type PacketEntry, readPacketTable } from "../../media/packet-table.ts";
import { loadWebCodecs } from "../../media/webcodecs.ts";
import { type YuvLayout, yuvByteCount } from "../../media/yuv.ts";
import type { ScanDetail, ScanOrder, ScanReply } from "./scan-protocol.ts";
import { detailOf, type Plane, sharpnessOf, shrinkPlane, THUMB_BYTES, THUMB_PIXELS } from "./thumbnail.ts";

const BATCH_FRAMES = 64;

function reply(message: ScanReply): Promise<void> {
  return new Promise((resolve) => {
    if (process.connected) process.send?.(message, undefined, undefined, () => resolve());
    else resolve();
  });
}

/** A decoder that hangs blocks this thread; the second one notices when the parent is gone. */
function watchParent(): void {
  const code = `setInterval(() => process.ppid === ${process.ppid} || process.kill(process.pid, "SIGKILL"), 2000)`;
  new Worker(code, { eval: true, execArgv: [], resourceLimits: { maxOldGenerationSizeMb: 8 } }).unref();
}

interface NativeFrame {
  readonly format: string;
  copyTo(destination: Buffer, options?: { readonly format: string }): void;
}

interface Planes {
  readonly luma: Plane;
  readonly cb: Plane;
  readonly cr: Plane;
}

let scratch = Buffer.alloc(0);

/** The planes of a frame in a buffer that the next frame overwrites. */
function planesOf(frame: VideoFrame): Planes {
  const native = frame._getNative() as NativeFrame;
  const { codedHeight: height, codedWidth: width } = frame;
  const copy = (layout: YuvLayout, options?: { format: string }): Planes => {
    const bytes = yuvByteCount(layout, height, width);
    if (scratch.length !== bytes) scratch = Buffer.alloc(bytes, 128);
    native.copyTo(scratch, options);
    const chroma = {
      width: layout === "I444" ? width : (width + 1) >> 1,
      height: layout === "I420" ? (height + 1) >> 1 : height,
    };
    const size = width * height;
    return {
      luma: { data: scratch, offset: 0, width, height },
      cb: { data: scratch, offset: size, ...chroma },
      cr: { data: scratch, offset: size + chroma.width * chroma.height, ...chroma },
    };
  };
  if (native.format === "I420" || native.format === "I422" || native.format === "I444")
    return copy(native.format);
  if (native.format !== "") return copy("I420", { format: "I420" });
  try {
    return copy("I420");
  } catch {
    return copy("I444", { format: "I444" });
  }
}

/** Collects thumbnails and sends them in batches. */
class Batches {
  readonly #detailEverySecs: number;
  readonly #timesSecs: Float64Array;
  #thumbs = new Uint8Array(BATCH_FRAMES * THUMB_BYTES);
  #sharpness = new Float32Array(BATCH_FRAMES);
  #details: ScanDetail[] = [];
  #first = 0;
  #filled = 0;
  #nextDetailSecs = 0;

  constructor(timesSecs: Float64Array, detailEverySecs: number) {
    this.#timesSecs = timesSecs;
    this.#detailEverySecs = detailEverySecs;
  }

  get frameCount(): number {
    return this.#first + this.#filled;
  }

  add(frame: VideoFrame): void {
    const planes = planesOf(frame);
    if (this.#filled === this.#sharpness.length) this.#grow();
    const at = this.#filled * THUMB_BYTES;
    shrinkPlane(planes.luma, this.#thumbs, at);
    shrinkPlane(planes.cb, this.#thumbs, at + THUMB_PIXELS);
    shrinkPlane(planes.cr, this.#thumbs, at + 2 * THUMB_PIXELS);
    this.#sharpness[this.#filled] = sharpnessOf(planes.luma);
    const number = this.frameCount;
    const time = this.#timesSecs[number] ?? 0;
    if (time >= this.#nextDetailSecs) {
      this.#details.push({ frame: number, ...detailOf(planes.luma) });
      this.#nextDetailSecs = time + this.#detailEverySecs;
    }
    this.#filled++;
  }

  /** Several frames may come out at once. */
  #grow(): void {
    const thumbs = new Uint8Array(this.#thumbs.length * 2);
    thumbs.set(this.#thumbs);
    const sharpness = new Float32Array(this.#sharpness.length * 2);
    sharpness.set(this.#sharpness);
    [this.#thumbs, this.#sharpness] = [thumbs, sharpness];
  }

  async flush(isLast: boolean): Promise<void> {
    if (this.#filled === 0 || (!isLast && this.#filled < BATCH_FRAMES)) return;
    await reply({
      kind: "frames",
      first: this.#first,
      thumbs: this.#thumbs.slice(0, this.#filled * THUMB_BYTES),
      sharpness: this.#sharpness.slice(0, this.#filled),
      details: this.#details,
    });
    this.#first += this.#filled;
    this.#filled = 0;
    this.#details = [];
  }
}

async function scan({ path, detailEverySecs }: ScanOrder): Promise<void> {
  const claim = await impossibleClaim(path);
  if (claim !== undefined) throw new Error(`a damaged index: ${claim}`);
  const input = new Input({ formats: [MP4, QTFF, MATROSKA, WEBM], source: new FilePathSource(path) });
  const track = await input.getPrimaryVideoTrack();
  const config = await track?.getDecoderConfig();
  const codec = await track?.getCodec();
  if (track === null || !config) throw new Error("no track that can be decoded");
  const sink = new EncodedPacketSink(track);
  const codecs = await loadWebCodecs("scanning a video");
  const table = await readPacketTable(sink, {
    codec: codec ?? "",
    fileBytes: Number.MAX_SAFE_INTEGER,
    progress: () => reply({ kind: "alive" }),
  });
  const pictures = table
    .filter((packet) => packet.hasPicture)
    .sort((a, b) => a.timestampSecs - b.timestampSecs);
  const shown = pictures.filter((packet) => packet.isShown);
  const last = shown.at(-1);
  if (last === undefined) throw new Error("no frame");
  const times = frameTimesFrom(
    Float64Array.from(shown, (packet) => packet.timestampSecs),
    last.durationSecs,
  );
  await reply({ kind: "times", ...times });
  const batches = new Batches(times.timesSecs, detailEverySecs);
  let pictureCount = 0;
  const failures: unknown[] = [];
  const decoder = new codecs.VideoDecoder({
    output: (frame) => {
      try {
        if (isShown(pictures[pictureCount++])) batches.add(frame);
      } catch (error) {
        failures.push(error);
      } finally {
        frame.close();
      }
    },
    error: (error) => failures.push(error),
  });
  // Synchronous decoding, as everywhere in this project: the library's threads pass errors on through freed memory.
  decoder.configure({
    codec: config.codec,
    ...(config.codedWidth === undefined ? {} : { codedWidth: config.codedWidth }),
    ...(config.codedHeight === undefined ? {} : { codedHeight: config.codedHeight }),
    ...(config.description === undefined ? {} : { description: config.description as ArrayBufferView }),
    useWorkerThread: false,
  });
  let index = 0;
  for await (const packet of sink.packets()) {
    if (packet.data.length > 0) {
      decoder.decode(
        new codecs.EncodedVideoChunk({
          type: packet.type,
          timestamp: Math.round(packet.timestamp * 1e6),
          duration: Math.round(packet.duration * 1e6),
          data: packet.data,
        }),
      );
    }
    // The library hands frames out between turns of the loop.
    if (index++ % 4 === 0) await new Promise((resolve) => setImmediate(resolve));
    if (failures.length > 0) break;
    await batches.flush(false);
  }
  await decoder.flush();
  decoder.close();
  input.dispose();
  // Frames are told apart by counting, which holds only while every packet gives one.
  if (failures.length > 0 || pictureCount !== pictures.length) {
    const why =
      failures[0] instanceof Error ? failures[0].message : `${pictureCount} of ${pictures.length} frames`;
    throw new Error(`damaged: ${why}`);
  }
  await batches.flush(true);
  await reply({ kind: "done", frameCount: batches.frameCount, rssBytes: process.memoryUsage.rss() });
}

function isShown(packet: PacketEntry | undefined): boolean {
  return packet?.isShown ?? false;
}

let isWatching = false;

process.on("message", (order) => {
  if (!isWatching) watchParent();
  isWatching = true;
  scan(order as ScanOrder).catch((error: unknown) =>
    reply({
      kind: "error",
      code: isVansError(error) ? error.code : undefined,
      message: error instanceof Error ? error.message : String(error),
    }),
  );
});
process.on("disconnect", () => process.exit(0));
process.on("unhandledRejection", () => {});
void reply({ kind: "alive" });
