/**
 * Writes H.264 in mp4 in memory: openh264 through node-webcodecs, the container through mediabunny. Runs inside the
 * codec process.
 * @module
 */
import { BufferTarget, EncodedPacket, EncodedVideoPacketSource, Mp4OutputFormat, Output } from "mediabunny";
import { internalError } from "../base/errors.ts";
import type { CodecTask, SentFrame } from "./codec-protocol.ts";
import { withoutClockTimes } from "./mp4-boxes.ts";
import { loadWebCodecs } from "./webcodecs.ts";
import { writerTag } from "./writer-tag.ts";
import { yuv420FromRgb } from "./yuv.ts";

/** BT.601 tags: what untagged files mean as well, so readers with and without tag support agree. */
const COLOUR = {
  primaries: "smpte170m",
  transfer: "smpte170m",
  matrix: "smpte170m",
  fullRange: false,
} as const;

/** H.264 constrained baseline; the encoder sets the level to what the size needs. */
const CODEC = "avc1.42001f";

/** Encodes frames of one size into the bytes of an mp4 file. The same frames give the same bytes. */
export async function encodeMp4(
  task: Extract<CodecTask, { readonly kind: "encode" }>,
  frames: AsyncIterable<SentFrame>,
): Promise<Uint8Array> {
  const { VideoEncoder, VideoFrame } = await loadWebCodecs("writing an mp4");
  const target = new BufferTarget();
  const output = new Output({ format: new Mp4OutputFormat({ fastStart: "in-memory" }), target });
  const source = new EncodedVideoPacketSource("avc");
  output.addVideoTrack(source, { frameRate: task.frameRateHz });
  let writer: string | undefined;

  const packets: { packet: EncodedPacket; meta: EncodedVideoChunkMetadata | undefined }[] = [];
  let failure: Error | undefined;
  const encoder = new VideoEncoder({
    output: (chunk, metadata) => {
      const data = new Uint8Array(chunk.byteLength);
      chunk.copyTo(data);
      const number = packets.length;
      const config = metadata?.decoderConfig;
      packets.push({
        packet: new EncodedPacket(data, chunk.type, number / task.frameRateHz, 1 / task.frameRateHz, number),
        meta:
          config === undefined
            ? undefined
            : ({ decoderConfig: { ...config, colorSpace: COLOUR } } as EncodedVideoChunkMetadata),
      });
    },
    error: (error) => {
      failure ??= error;
    },
  });
  try {
    let number = 0;
    for await (const frame of frames) {
      const { planes, height, width } = yuv420FromRgb(frame);
      if (number === 0) {
        writer = writerTag(frame, { height, width });
        encoder.configure({
          codec: CODEC,
          width,
          height,
          framerate: Math.max(1, Math.round(task.frameRateHz)),
          bitrate: task.bitrate,
          hardwareAcceleration: "prefer-software",
          avc: { format: "avc" },
          colorSpace: COLOUR,
          useWorkerThread: false,
        });
      }
      const timestamp = Math.round((number * 1e6) / task.frameRateHz);
      const picture = new VideoFrame(planes, {
        format: "I420",
        codedWidth: width,
        codedHeight: height,
        timestamp,
      });
      encoder.encode(picture, { keyFrame: number === 0 });
      picture.close();
      number++;
      if (failure !== undefined) throw failure;
    }
    await encoder.flush();
    if (failure !== undefined) throw failure;
    if (packets.length !== number)
      throw internalError(`the encoder made ${packets.length} packets of ${number} frames`);
  } finally {
    encoder.close();
  }
  output.setMetadataTags({
    ...(task.metadata === undefined ? {} : { comment: task.metadata }),
    ...(task.title === undefined ? {} : { title: task.title }),
    ...(writer === undefined ? {} : { raw: { "©too": writer } }),
  });
  await output.start();
  for (const { packet, meta } of packets) await source.add(packet, meta);
  await output.finalize();
  if (target.buffer === null) throw internalError("the mp4 writer gave no bytes");
  return withoutClockTimes(new Uint8Array(target.buffer));
}
