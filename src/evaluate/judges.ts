/**
 * The models that judge videos: the CLIP that evaluates, the CLIP that rewards, the I3D of the Fréchet distance. All systems
 * of a report are judged by the same ones, those of the suite that the report is about.
 * @module
 */
import { dirname, join } from "node:path";
import type { Suite } from "../answer/index.ts";
import { ClipScorer, FvdMeter, type FvdSettings, fvdSettings, weightsSha256 } from "../metrics/index.ts";

/** Judging models; what a suite lacks is not measured. */
export interface Judges {
  readonly clipEval?: ClipScorer;
  readonly clipReward?: ClipScorer;
  readonly fvd?: FvdMeter;
}

/** What judged, for reports. */
export interface JudgeFacts {
  /** SHA-256 of the weights of the CLIP that evaluates; null where there is none. */
  readonly clipEval: string | null;
  readonly clipReward: string | null;
  readonly fvd: FvdSettings | null;
}

const folderOf = (suite: Suite, part: { readonly config: string }): string =>
  join(suite.folder, dirname(part.config));

/** Names and hashes of a suite's judges, without opening them. */
export async function judgeFacts(suite: Suite): Promise<JudgeFacts> {
  const { clip, clipEval, i3d } = suite.manifest;
  return {
    clipEval: clipEval ? await weightsSha256(folderOf(suite, clipEval)) : null,
    clipReward: clip ? await weightsSha256(folderOf(suite, clip)) : null,
    fvd: i3d ? await fvdSettings(folderOf(suite, i3d)) : null,
  };
}

/** Opens the judges of a suite. @throws what {@link ClipScorer.open} and {@link FvdMeter.open} throw */
export async function openJudges(
  suite: Suite,
  run: { readonly threads: number },
): Promise<Judges & { release(): Promise<void> }> {
  const { clip, clipEval, i3d } = suite.manifest;
  const scorer = (part: { readonly config: string } | undefined, name: string) =>
    part && ClipScorer.open(folderOf(suite, part), { name, run });
  const [evaluating, rewarding, fvd] = await Promise.all([
    scorer(clipEval, "evaluation CLIP"),
    scorer(clip, "reward CLIP"),
    i3d && FvdMeter.open(folderOf(suite, i3d), { run }),
  ]);
  return {
    ...(evaluating && { clipEval: evaluating }),
    ...(rewarding && { clipReward: rewarding }),
    ...(fvd && { fvd }),
    release: async () => {
      await Promise.all([evaluating?.release(), rewarding?.release(), fvd?.release()]);
    },
  };
}
