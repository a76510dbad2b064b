/**
 * Videos on disk for tests and benchmarks: drawn ones with known shots, and playroom ones with annotated steps.
 * @module
 */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  BufferSource,
  BufferTarget,
  type EncodedPacket,
  EncodedPacketSink,
  EncodedVideoPacketSource,
  Input,
  MP4,
  Mp4OutputFormat,
  Output,
} from "mediabunny";
import { fold, keyFromSeed, uniform } from "../../base/keys.ts";
import { writeMp4 } from "../../media/encode.ts";
import { sampleForSeed } from "../../world/index.ts";
import { type DrawnVideo, type DrawVideoOptions, drawVideo } from "./draw-video.ts";

/** How {@link writeDrawnVideo} stores what it drew. */
export interface DrawnFileOptions {
  /** Share of frames that are left out, as phones and screen recorders do; the others keep their times. Default 0. */
  readonly leftOut?: number;
}

/**
 * Draws a video into a file. Held in memory whole: for short ones.
 *
 * @returns what the file holds: frames that were left out do not count
 */
export async function writeDrawnVideo(
  path: string,
  options: DrawVideoOptions,
  { leftOut = 0 }: DrawnFileOptions = {},
): Promise<DrawnVideo> {
  const drawn = drawVideo(options);
  const { width, height, frameRateHz, seed } = options;
  const draws = uniform(fold(keyFromSeed(seed), "left-out"), drawn.frameCount);
  // The first and the last stay, so that the length does.
  const kept = Array.from({ length: drawn.frameCount }, (_, i) => i).filter(
    (i) => i === 0 || i === drawn.frameCount - 1 || draws[i]! >= leftOut,
  );
  const bytes = width * height * 3;
  const rgb = new Uint8Array(kept.length * bytes);
  kept.forEach((number, i) => {
    rgb.set(drawn.frame(number), i * bytes);
  });
  const whole = { frameCount: kept.length, width, height, frameRateHz, rgb };
  await writeMp4(path, whole);
  if (leftOut > 0)
    await retime(
      path,
      kept.map((number) => number / frameRateHz),
    );
  return {
    frameCount: kept.length,
    transitions: drawn.transitions.map(({ kind, first, last }) => ({
      kind,
      first: kept.findLastIndex((number) => number <= first),
      last: kept.findIndex((number) => number >= last),
    })),
    frame: (index) => drawn.frame(kept[index]!),
  };
}

/** Gives the frames of an mp4 other times, without encoding it again. */
async function retime(path: string, timesSecs: readonly number[]): Promise<void> {
  const input = new Input({ formats: [MP4], source: new BufferSource(await readFile(path)) });
  const track = await input.getPrimaryVideoTrack();
  const decoderConfig = await track?.getDecoderConfig();
  if (!track || !decoderConfig) throw new Error(`${path} has no video track`);
  const packets: EncodedPacket[] = [];
  for await (const packet of new EncodedPacketSink(track).packets()) packets.push(packet);
  const shown = packets.map((packet) => packet.timestamp).sort((a, b) => a - b);
  const output = new Output({ format: new Mp4OutputFormat(), target: new BufferTarget() });
  const source = new EncodedVideoPacketSource("avc");
  output.addVideoTrack(source);
  await output.start();
  for (const packet of packets) {
    const at = shown.indexOf(packet.timestamp);
    const timestamp = timesSecs[at]!;
    const duration = (timesSecs[at + 1] ?? timestamp + packet.duration) - timestamp;
    await source.add(packet.clone({ timestamp, duration }), { decoderConfig });
  }
  await output.finalize();
  input.dispose();
  await writeFile(path, new Uint8Array(output.target.buffer!));
}

/**
 * Rate at which playroom samples are played as steps. Slower than their own 8 Hz: an input of 21 frames then lasts the
 * 3 s that a segment needs, and a clip cut from it shows the very frames of the sample, at the same share of its time.
 * (Holding the last frame instead shifts the frames that a model picks from a clip.)
 */
export const PLAYROOM_STEP_RATE_HZ = 6;
/** Shortest step. */
const STEP_SECS = 3;

/**
 * Writes playroom samples as long videos: input and answer of each sample are two annotated steps, the answer's last
 * frame held to 3 s. Annotations are in the form of COIN, one video a sample, with the sample's seed in its name.
 *
 * @returns path of the annotations
 */
export async function writePlayroomVideos(folder: string, seeds: readonly number[]): Promise<string> {
  await mkdir(folder, { recursive: true });
  const database: Record<string, unknown> = {};
  for (const seed of seeds) {
    const sample = sampleForSeed(seed);
    const { input, output } = sample;
    const bytes = input.width * input.height * 3;
    const counts = [input, output].map((clip) =>
      Math.max(clip.frameCount, STEP_SECS * PLAYROOM_STEP_RATE_HZ),
    ) as [number, number];
    const frameCount = counts[0] + counts[1];
    const rgb = new Uint8Array(frameCount * bytes);
    [input, output].forEach((clip, part) => {
      for (let i = 0; i < counts[part]!; i++) {
        const frame = Math.min(i, clip.frameCount - 1);
        rgb.set(clip.rgb.subarray(frame * bytes, (frame + 1) * bytes), (part * counts[0] + i) * bytes);
      }
    });
    const name = `playroom-${String(seed).padStart(6, "0")}`;
    const { height, width } = input;
    await writeMp4(join(folder, `${name}.mp4`), {
      frameCount,
      height,
      width,
      frameRateHz: PLAYROOM_STEP_RATE_HZ,
      rgb,
    });
    const [middle, end] = [counts[0] / PLAYROOM_STEP_RATE_HZ, frameCount / PLAYROOM_STEP_RATE_HZ];
    database[name] = {
      class: sample.goal,
      subset: "training",
      annotation: [
        { id: "0", label: `before seed ${seed}`, segment: [0, middle] },
        { id: "1", label: sample.caption, segment: [middle, end] },
      ],
    };
  }
  const path = join(folder, "annotations.json");
  await writeFile(path, JSON.stringify({ database }));
  return path;
}
