/**
 * Kinds of video that only ffmpeg reads, told by their first bytes, so that a refusal can name them.
 * @module
 */

/** What a file is. */
export interface ForeignFormat {
  readonly container: string;
  readonly codec: string;
}

/** Bytes that {@link foreignFormat} looks at. */
export const FOREIGN_BYTES = 4096;

const FLV_CODECS: Readonly<Record<number, string>> = { 2: "h263", 4: "vp6", 7: "h264", 12: "hevc" };
/** Stream types of ISO/IEC 13818-1. */
const TS_CODECS: Readonly<Record<number, string>> = {
  1: "mpeg1video",
  2: "mpeg2video",
  16: "mpeg4",
  27: "h264",
  36: "hevc",
};
const TS_PACKET = 188;

/** Names a file by its first {@link FOREIGN_BYTES} bytes; undefined for what is no video that we know. */
export function foreignFormat(header: Uint8Array): ForeignFormat | undefined {
  const text = Buffer.from(header).toString("latin1");
  const found = (container: string, codec: string | undefined): ForeignFormat => ({
    container,
    codec: codec ?? "unknown",
  });
  // The stream header names its kind and then the codec's four letters.
  if (text.startsWith("RIFF") && text.slice(8, 12) === "AVI ")
    return found("avi", /vids([\w ]{4})/.exec(text)?.[1]?.trim());
  if (isAnimatedPng(text)) return found("png", "apng");
  if (text.startsWith("FLV\x01")) return found("flv", flvCodec(header));
  if (text.startsWith("\x30\x26\xb2\x75\x8e\x66\xcf\x11")) return found("asf", /WM[VS]\d/.exec(text)?.[0]);
  if (text.startsWith("OggS") && text.includes("theora")) return found("ogg", "theora");
  if (text.startsWith("YUV4MPEG2")) return found("y4m", "rawvideo");
  if (text.startsWith("\0\0\x01\xba") || text.startsWith("\0\0\x01\xb3"))
    return found("mpeg", "mpeg1video or mpeg2video");
  if (header[0] === 0x47 && header[TS_PACKET] === 0x47) return found("mpegts", tsCodec(header));
  return undefined;
}

/** A PNG that announces an animation before its first picture (APNG specification, chunk acTL). */
function isAnimatedPng(text: string): boolean {
  if (!text.startsWith("\x89PNG")) return false;
  const announced = text.indexOf("acTL");
  const firstPicture = text.indexOf("IDAT");
  return announced >= 0 && (firstPicture < 0 || announced < firstPicture);
}

/** From the first video tag. */
function flvCodec(header: Uint8Array): string | undefined {
  const view = new DataView(header.buffer, header.byteOffset, header.length);
  for (let at = 13; at + 12 < header.length; ) {
    const bytes = view.getUint32(at) & 0xffffff;
    if (header[at] === 9) return FLV_CODECS[header[at + 11]! & 15];
    at += 11 + bytes + 4;
  }
  return undefined;
}

/** From the first program map table (table 2) that starts in a packet. */
function tsCodec(header: Uint8Array): string | undefined {
  for (let packet = 0; packet + TS_PACKET <= header.length; packet += TS_PACKET) {
    const section = header.subarray(packet + 5, packet + TS_PACKET);
    if (section[0] !== 2) continue;
    const end = 3 + (((section[1]! & 15) << 8) | section[2]!) - 4;
    for (
      let at = 12 + (((section[10]! & 15) << 8) | section[11]!);
      at + 5 <= Math.min(end, section.length);
    ) {
      const codec = TS_CODECS[section[at]!];
      if (codec !== undefined) return codec;
      at += 5 + (((section[at + 3]! & 15) << 8) | section[at + 4]!);
    }
  }
  return undefined;
}
