/**
 * Fixed held-out samples, drawn as training goes: metrics that no reward sees, and a sheet with captions.
 * @module
 */
import { DrawingsInMemory, type EvaluatedModels, evaluateParts } from "../evaluate/index.ts";
import type { Clip } from "../media/clip.ts";
import { contactSheet, frameOf, type SheetRow } from "../media/index.ts";
import type { WorldSample } from "../world/index.ts";
import { throughVideo } from "./through-video.ts";

/** Videos of held-out samples, and what was measured of them. */
export interface HeldOutLook {
  /** Means over the samples; `motionShare` is motion energy over that of the truth. */
  readonly metrics: Record<string, number>;
  readonly videos: readonly { readonly sample: WorldSample; readonly caption: string; readonly clip: Clip }[];
}

/** What is kept of `evaluateParts`' metrics of a video. */
const KEPT = ["videoEventAccuracy", "videoPsnrDb", "identityAccuracy", "motionEnergy", "motionEnergyTruth"];

/** Draws the samples from captions. Drawings of the truth are kept for the next look. */
export class HeldOutVideos {
  readonly #samples: readonly WorldSample[];
  readonly #drawings = new DrawingsInMemory();

  constructor(samples: readonly WorldSample[]) {
    this.#samples = samples;
  }

  async look(models: EvaluatedModels, captions: readonly string[]): Promise<HeldOutLook> {
    const items = this.#samples.map((sample, n) => ({
      sample,
      parts: ["video" as const],
      input: { frames: throughVideo(sample.input) },
      caption: captions[n]!,
    }));
    if (items.length === 0) return { metrics: {}, videos: [] };
    const totals: Record<string, number> = {};
    const videos: { sample: WorldSample; caption: string; clip: Clip }[] = [];
    for await (const { outcome, clip } of evaluateParts(models, items, { drawings: this.#drawings })) {
      for (const name of KEPT) {
        const value = outcome.values[name as keyof typeof outcome.values];
        if (value !== undefined) totals[name] = (totals[name] ?? 0) + value / items.length;
      }
      const n = videos.length;
      videos.push({ sample: this.#samples[n]!, caption: captions[n]!, clip: clip! });
    }
    const { motionEnergy, motionEnergyTruth } = totals;
    const motionShare = (motionEnergy ?? 0) / (motionEnergyTruth || 1);
    return { metrics: { ...totals, motionShare }, videos };
  }
}

/** Frames that a sheet shows of an answer. */
const SHOWN = [0, 4, 8, 12, 16];

/** A sheet of the first videos: question, caption, the input's last frame, the truth, the drawing. */
export async function heldOutSheet(
  { videos }: HeldOutLook,
  title: string,
  most = 8,
): Promise<Uint8Array | undefined> {
  if (videos.length === 0) return undefined;
  const rows = videos.slice(0, most).map(({ sample, caption, clip }): SheetRow => {
    const frames = [
      frameOf(sample.input, sample.input.frameCount - 1),
      ...SHOWN.map((frame) => frameOf(sample.output, frame)),
      ...SHOWN.map((frame) => frameOf(clip, frame)),
    ];
    const notes = ["input", ...SHOWN.map((n) => `truth ${n}`), ...SHOWN.map((n) => `drawn ${n}`)];
    return { label: `${sample.question} → ${caption}`, frames, notes };
  });
  return contactSheet({ title, rows, frameHeight: 64, maxColumns: 1 + 2 * SHOWN.length });
}
