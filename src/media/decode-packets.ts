/**
 * Decodes chosen frames of a packet table, group of pictures by group, and finds out which frames a damaged stream
 * has lost. Runs inside the codec process.
 *
 * The decoder (node-webcodecs) hands out frames in presentation order but labels them with the wrong timestamp when
 * it reorders or runs threads, so frames are told apart by counting: the k-th frame out is the packet with the k-th
 * smallest timestamp. That holds as long as every packet gives a frame; where the count is short, prefixes of the
 * group are decoded to see which packets gave none.
 * @module
 */
import type { EncodedPacket, EncodedPacketSink } from "mediabunny";
import type { VideoFrame } from "node-webcodecs";
import type { VansError } from "../base/errors.ts";
import type { FrameSink } from "./codec-protocol.ts";
import type { RotationDegrees } from "./media-info.ts";
import type { PacketEntry } from "./packet-table.ts";
import { cropTopLeft, type ImageSize, type RgbImage, resizeImage } from "./resize.ts";
import { type StoredPlanes, unnamedPlanes } from "./stored-planes.ts";
import { turnImage } from "./turn.ts";
import { loadWebCodecs, type WebCodecs } from "./webcodecs.ts";
import { type ChromaMode, rgbFromYuv, type YuvColour, type YuvLayout, yuvByteCount } from "./yuv.ts";

/** What the decoder needs to know; a subset of WebCodecs' `VideoDecoderConfig`. */
export interface DecoderSetup {
  readonly codec: string;
  readonly codedWidth?: number;
  readonly codedHeight?: number;
  readonly description?: ArrayBufferView;
}

/** A video whose frames are to be decoded. */
export interface DecodeJob {
  readonly sink: EncodedPacketSink;
  /** All packets in decode order. */
  readonly table: readonly PacketEntry[];
  readonly decoder: DecoderSetup;
  readonly colour: YuvColour;
  readonly rotationDegrees: RotationDegrees;
  readonly isMirrored: boolean;
  /** Whether the planes are green, blue and red. */
  readonly isRgb: boolean;
  /** The refusal of a pixel format that is not understood. */
  readonly unsupported: () => VansError;
  /** The part of each frame that is picture, from its top left; the frame's own size where nothing is padded. */
  readonly picture: ImageSize | undefined;
}

/** Options of {@link decodeFrames}. */
export interface DecodeOptions {
  /** False: a lost frame is replaced by the nearest earlier one (or the next, at the start). */
  readonly mayDropFrames: boolean;
  readonly chroma: ChromaMode;
  readonly send: FrameSink;
}

/** Packets decoded in search of lost frames before the rest of a group is given up, as a multiple of its length. */
const SEARCH_FACTOR = 12;
const SEARCH_LEAST = 2000;
/** Flushes that must give nothing before a decoder counts as empty. */
const FLUSHES_WITHOUT_FRAME = 3;
/** A frame with more pixels than this (16384 x 16384) is a damaged header. */
const MAX_FRAME_PIXELS = 2 ** 28;

/** A run of packets that is decoded on its own. */
interface Group {
  /** Decode-order index of the packet to start with. */
  readonly start: number;
  /** Decode-order index after the last packet that is needed. */
  end: number;
  /** Decode-order indices of the wanted packets, and their frame numbers. */
  readonly wanted: Map<number, number>;
}

/**
 * Decodes frames and sends each as `frame` or `lost`.
 *
 * @param wanted frame numbers in presentation order, ascending, without repeats
 */
export async function decodeFrames(
  job: DecodeJob,
  wanted: readonly number[],
  options: DecodeOptions,
): Promise<void> {
  const codecs = await loadWebCodecs("decoding a video");
  let size: RgbImage | undefined;
  for (const group of planGroups(job.table, wanted)) {
    const packets = await fetchPackets(job, group, options.send);
    const run = new GroupRun(codecs, job, group, packets, options);
    await run.decode(async (number, shown, image) => {
      // Some streams change their size on the way; a clip has one.
      size ??= image;
      const frame = resizeImage(image, { height: size.height, width: size.width }, "pil-bilinear");
      await options.send({ kind: "frame", number, shown, frame });
    });
  }
}

/** Groups the wanted frames by the key packet where decoding has to start. */
export function planGroups(table: readonly PacketEntry[], wanted: readonly number[]): Group[] {
  const shown = presentationOrder(table, (packet) => packet.isShown);
  const wantedNumbers = new Map(
    wanted.flatMap((number) => (shown[number] === undefined ? [] : [[shown[number], number]])),
  );
  const groups: Group[] = [];
  // In presentation order: how far decoding must go to have seen a packet and all that comes before it.
  let furthest = 0;
  let start = 0;
  for (const index of presentationOrder(table, () => true)) {
    furthest = Math.max(furthest, index);
    if (table[index]!.isKey) start = Math.max(start, index);
    const number = wantedNumbers.get(index);
    if (number === undefined) continue;
    const from = index >= start ? start : lastKeyUpTo(table, index);
    let group = groups.at(-1);
    if (group?.start !== from) {
      group = { start: from, end: 0, wanted: new Map() };
      groups.push(group);
    }
    group.end = Math.max(group.end, furthest + 1);
    group.wanted.set(index, number);
  }
  return groups;
}

/** For damaged orders, where a frame is shown after a key frame but stored before it. */
function lastKeyUpTo(table: readonly PacketEntry[], index: number): number {
  for (let key = index; key > 0; key--) if (table[key]!.isKey) return key;
  return 0;
}

/** Decode-order indices of chosen packets, in presentation order. */
function presentationOrder(
  table: readonly PacketEntry[],
  isChosen: (packet: PacketEntry) => boolean,
): number[] {
  return table
    .map((_, index) => index)
    .filter((index) => isChosen(table[index]!))
    .sort((a, b) => table[a]!.timestampSecs - table[b]!.timestampSecs || a - b);
}

/** A fetched packet with its place in the table. */
interface FetchedPacket {
  readonly index: number;
  readonly data: Uint8Array;
}

/** Reads a group's packets; stops early where the file is cut off. */
async function fetchPackets(job: DecodeJob, group: Group, send: FrameSink): Promise<FetchedPacket[]> {
  const first = job.table[group.start]!;
  const fetched: FetchedPacket[] = [];
  try {
    let packet = await locate(job, group.start);
    for (let index = group.start; index < group.end && packet !== null; index++) {
      // Frames that are shown before the key frame depend on the group before it.
      if (index === group.start || job.table[index]!.timestampSecs >= first.timestampSecs)
        fetched.push({ index, data: packet.data });
      if (index + 1 < group.end) packet = await job.sink.getNextPacket(packet);
      if (index % 64 === 0) await send({ kind: "progress" });
    }
  } catch {
    // What could be read is decoded; the rest counts as lost.
  }
  return fetched;
}

async function locate(job: DecodeJob, index: number): Promise<EncodedPacket | null> {
  const entry = job.table[index]!;
  const direct = entry.isKey
    ? await job.sink.getKeyPacket(entry.timestampSecs)
    : await job.sink.getPacket(entry.timestampSecs);
  if (direct !== null && direct.timestamp === entry.timestampSecs) return direct;
  // Damaged or repeated timestamps: count from the start.
  let packet = await job.sink.getFirstPacket();
  for (let at = 0; at < index && packet !== null; at++) packet = await job.sink.getNextPacket(packet);
  return packet;
}

type EmitImage = (number: number, shown: number, image: RgbImage) => Promise<void>;

/** The work on one group. */
class GroupRun {
  readonly #codecs: WebCodecs;
  readonly #job: DecodeJob;
  readonly #group: Group;
  readonly #packets: readonly FetchedPacket[];
  readonly #options: DecodeOptions;
  #isUnknownFormat = false;

  constructor(
    codecs: WebCodecs,
    job: DecodeJob,
    group: Group,
    packets: readonly FetchedPacket[],
    options: DecodeOptions,
  ) {
    this.#codecs = codecs;
    this.#job = job;
    this.#group = group;
    this.#packets = packets;
    this.#options = options;
  }

  async decode(emit: EmitImage): Promise<void> {
    const { wanted } = this.#group;
    const all = this.#inOrder(this.#packets.map((packet) => packet.index));
    const optimistic = await this.#runWith(all, new Map(wanted), emit);
    if (optimistic.frameCount === all.length && optimistic.missing.size === 0) return;

    const surviving = this.#inOrder(await this.#survivors());
    const isSound = new Set(surviving);
    const substitutes = new Map<number, number[]>();
    for (const [index, number] of wanted) {
      const standIn = this.#options.mayDropFrames ? undefined : this.#standIn(surviving, index);
      const shown = isSound.has(index) ? index : standIn;
      if (shown === undefined) await this.#options.send({ kind: "lost", number });
      else substitutes.set(shown, [...(substitutes.get(shown) ?? []), number]);
    }
    const numberOf = this.#numbers();
    const wantedAgain = new Map([...substitutes.keys()].map((index) => [index, index]));
    const second = await this.#runWith(surviving, wantedAgain, async (index, _shown, image) => {
      for (const number of substitutes.get(index) ?? []) await emit(number, numberOf(index) ?? number, image);
    });
    for (const index of second.missing)
      for (const number of substitutes.get(index) ?? []) await this.#options.send({ kind: "lost", number });
  }

  /** Frame numbers of packets around the wanted ones, for telling which frame stands in. */
  #numbers(): (index: number) => number | undefined {
    const order = presentationOrder(this.#job.table, (packet) => packet.isShown);
    const numbers = new Map(order.map((index, number) => [index, number]));
    return (index) => numbers.get(index);
  }

  /** Packets that give a picture, in presentation order. */
  #inOrder(indices: readonly number[]): number[] {
    const { table } = this.#job;
    return indices
      .filter((index) => table[index]!.hasPicture)
      .sort((a, b) => table[a]!.timestampSecs - table[b]!.timestampSecs || a - b);
  }

  /** The nearest earlier surviving frame, or the first one after. */
  #standIn(surviving: readonly number[], index: number): number | undefined {
    const time = this.#job.table[index]!.timestampSecs;
    return surviving.findLast((other) => this.#job.table[other]!.timestampSecs <= time) ?? surviving[0];
  }

  /** Decodes all packets, taking the k-th frame for the k-th of `expected`. */
  async #runWith(expected: readonly number[], wanted: ReadonlyMap<number, number>, emit: EmitImage) {
    const missing = new Set(wanted.keys());
    const pending: { number: number; image: RgbImage }[] = [];
    const frameCount = await this.#feed(
      this.#packets.length,
      (position, frame) => {
        const index = expected[position];
        const number = index === undefined ? undefined : wanted.get(index);
        if (index === undefined || number === undefined) return;
        const image = this.#imageOf(frame);
        if (image === undefined) return;
        missing.delete(index);
        pending.push({ number, image });
      },
      async () => {
        for (const { number, image } of pending.splice(0)) await emit(number, number, image);
      },
    );
    if (this.#isUnknownFormat) throw this.#job.unsupported();
    return { frameCount, missing };
  }

  /** Feeds the first `count` packets and flushes. Returns how many frames came out. */
  async #feed(
    count: number,
    onFrame: (position: number, frame: VideoFrame) => void,
    afterEach: () => Promise<void>,
  ): Promise<number> {
    let frames = 0;
    const decoder = new this.#codecs.VideoDecoder({
      output: (frame) => {
        onFrame(frames++, frame);
        frame.close();
      },
      // A packet that cannot be decoded shows in the count.
      error: () => {},
    });
    try {
      // Synchronous decoding: the library's own threads pass errors on through freed memory.
      decoder.configure({ ...this.#job.decoder, useWorkerThread: false });
      for (const packet of this.#packets.slice(0, count)) {
        const entry = this.#job.table[packet.index]!;
        if (packet.data.length > 0) {
          decoder.decode(
            new this.#codecs.EncodedVideoChunk({
              type: entry.isKey ? "key" : "delta",
              timestamp: Math.round(entry.timestampSecs * 1e6),
              duration: Math.round(entry.durationSecs * 1e6),
              data: packet.data,
            }),
          );
        }
        await afterEach();
        await this.#options.send({ kind: "progress" });
      }
      // The library stops draining at the first damaged frame; what lies behind it comes with the next flush.
      for (let before = -1, idle = 0; idle < FLUSHES_WITHOUT_FRAME; idle = frames === before ? idle + 1 : 0) {
        before = frames;
        await decoder.flush();
        await afterEach();
      }
    } finally {
      decoder.close();
    }
    return frames;
  }

  /** Decode-order indices of the packets that give a frame, found by decoding prefixes. */
  async #survivors(): Promise<number[]> {
    const total = this.#packets.length;
    let budget = Math.max(SEARCH_LEAST, total * SEARCH_FACTOR);
    const counts = new Map<number, number>([[0, 0]]);
    const countOf = async (length: number): Promise<number> => {
      const known = counts.get(length);
      if (known !== undefined) return known;
      budget -= length;
      const frames = await this.#feed(
        length,
        () => {},
        async () => {},
      );
      counts.set(length, frames);
      return frames;
    };
    const found: number[] = [];
    const search = async (low: number, high: number): Promise<void> => {
      const withPicture = this.#packets
        .slice(low, high)
        .filter((packet) => this.#job.table[packet.index]!.hasPicture);
      const gained = (await countOf(high)) - (await countOf(low));
      if (gained <= 0) return;
      if (gained >= withPicture.length || budget < 0) {
        // Out of budget: the first frames of the stretch are taken for the sound ones.
        found.push(...withPicture.slice(0, gained).map((packet) => packet.index));
        return;
      }
      const middle = (low + high) >> 1;
      await search(low, middle);
      await search(middle, high);
    };
    await search(0, total);
    return found;
  }

  #imageOf(frame: VideoFrame): RgbImage | undefined {
    const { rotationDegrees, isMirrored, colour } = this.#job;
    const size = { height: frame.codedHeight, width: frame.codedWidth };
    if (size.height < 1 || size.width < 1 || size.height * size.width > MAX_FRAME_PIXELS) return undefined;
    const stored = planesOf(frame, this.#job);
    if (stored === undefined) {
      this.#isUnknownFormat = true;
      return undefined;
    }
    const { planes, layout, isConverted } = stored;
    // swscale brings full-range video to limited range.
    const isFullRange = colour.isFullRange && !isConverted;
    const image = rgbFromYuv(planes, { ...size, layout }, { ...colour, isFullRange }, this.#options.chroma);
    const { picture = size } = this.#job;
    return turnImage(cropTopLeft(image, picture), rotationDegrees, isMirrored);
  }
}

/** The native side of a frame, which knows its true pixel format ("" if WebCodecs has no name for it). */
interface NativeFrame {
  readonly format: string;
  allocationSize(): number;
  copyTo(destination: Buffer, options?: { readonly format: string }): void;
}

function planesOf(
  frame: VideoFrame,
  { decoder, isRgb }: DecodeJob,
): (StoredPlanes & { readonly isConverted: boolean }) | undefined {
  const native = frame._getNative() as NativeFrame;
  const { codedHeight: height, codedWidth: width } = frame;
  if (native.format === "") {
    const unnamed = {
      ...{ height, width },
      byteCount: native.allocationSize(),
      copyTo: (bytes: Buffer) => native.copyTo(bytes),
    };
    const stored = unnamedPlanes(unnamed, decoder.codec, isRgb);
    return stored && { ...stored, isConverted: false };
  }
  const isPlanar = native.format === "I420" || native.format === "I422" || native.format === "I444";
  const layout: YuvLayout = isPlanar ? (native.format as YuvLayout) : "I420";
  const planes = Buffer.alloc(yuvByteCount(layout, height, width));
  native.copyTo(planes, isPlanar ? undefined : { format: layout });
  return { planes, layout, isConverted: !isPlanar };
}
