/**
 * The list of a video's packets in decode order: when each is shown, where decoding can start.
 * @module
 */
import type { EncodedPacket, EncodedPacketSink } from "mediabunny";
import type { Progress } from "./open-media.ts";

/** One packet, without its data. */
export interface PacketEntry {
  /** On the container's clock. */
  readonly timestampSecs: number;
  readonly durationSecs: number;
  readonly isKey: boolean;
  /** Whether the decoder gives a picture for it: VP8 and VP9 "alt-ref" packets only serve as reference. */
  readonly hasPicture: boolean;
  /** Whether the picture is part of the video: an edit list may cut off the first ones. */
  readonly isShown: boolean;
}

/** Options of {@link readPacketTable}. */
export interface PacketTableOptions {
  /** Our codec name; VP8 and VP9 hide packets, which only their data tells. */
  readonly codec: string;
  /** Bytes of the file: a damaged index may claim billions of packets, but each takes at least one byte. */
  readonly fileBytes: number;
  readonly progress: Progress;
}

/** Reads the table. Where the index turns out to be damaged on the way, the part before that is kept. */
export async function readPacketTable(
  sink: EncodedPacketSink,
  { codec, fileBytes, progress }: PacketTableOptions,
): Promise<PacketEntry[]> {
  const hasHiddenPackets = codec === "vp8" || codec === "vp9";
  const table: PacketEntry[] = [];
  try {
    for await (const packet of sink.packets(undefined, undefined, { metadataOnly: !hasHiddenPackets })) {
      if (Number.isFinite(packet.timestamp)) {
        const hasPicture = !hasHiddenPackets || isShownFrame(packet, codec);
        table.push({
          timestampSecs: packet.timestamp,
          durationSecs: packet.duration,
          isKey: packet.type === "key",
          hasPicture,
          isShown: hasPicture,
        });
      }
      if (table.length >= fileBytes) break;
      if (table.length % 256 === 0) await progress();
    }
  } catch {
    // The packets read so far are sound; none at all is reported by the caller.
  }
  return withoutPreroll(table);
}

/** Rounding of container clocks. */
const CLOCK_ROUNDING_SECS = 0.0005;

/** mp4 edit lists put what is cut off before time 0. A file that has nothing else is shown whole. */
function withoutPreroll(table: PacketEntry[]): PacketEntry[] {
  const isPreroll = (packet: PacketEntry): boolean => packet.timestampSecs < -CLOCK_ROUNDING_SECS;
  if (!table.some((packet) => packet.isShown && !isPreroll(packet))) return table;
  return table.map((packet) => (isPreroll(packet) ? { ...packet, isShown: false } : packet));
}

/** Whether a VP8 or VP9 packet holds a frame that is shown. */
export function isShownFrame(packet: Pick<EncodedPacket, "data">, codec: string): boolean {
  const { data } = packet;
  if (data.length === 0) return false;
  // RFC 6386 section 9.1: bit 4 of the frame tag.
  if (codec === "vp8") return (data[0]! & 0x10) !== 0;
  return vp9FrameStarts(data).some((start) => isShownVp9(data[start]!));
}

/**
 * The first byte of a VP9 frame header: marker (2 bits), profile (2 bits, low first), a reserved bit in profile 3,
 * show_existing_frame, frame_type, show_frame. VP9 bitstream specification, section 6.2.
 */
function isShownVp9(first: number): boolean {
  const isProfile3 = (first & 0x30) === 0x30;
  const bit = (index: number): boolean => (first & (0x80 >> index)) !== 0;
  const at = isProfile3 ? 5 : 4;
  return bit(at) || bit(at + 2);
}

/** Where the frames of a VP9 superframe start (Annex B); a plain packet is one frame at 0. */
function vp9FrameStarts(data: Uint8Array): number[] {
  const marker = data[data.length - 1]!;
  if ((marker & 0xe0) !== 0xc0) return [0];
  const count = (marker & 7) + 1;
  const bytesPerSize = ((marker >> 3) & 3) + 1;
  const indexSize = 2 + count * bytesPerSize;
  if (data.length < indexSize || data[data.length - indexSize] !== marker) return [0];
  const starts: number[] = [];
  let position = 0;
  for (let frame = 0; frame < count; frame++) {
    let size = 0;
    for (let byte = 0; byte < bytesPerSize; byte++)
      size += data[data.length - indexSize + 1 + frame * bytesPerSize + byte]! * 256 ** byte;
    if (position < data.length - indexSize) starts.push(position);
    position += size;
  }
  return starts;
}
