/**
 * What is measured of one video by itself, whichever system drew it.
 * @module
 */
import type { Clip } from "../media/clip.ts";
import {
  type EventVerdict,
  identityVerdict,
  motionEnergy,
  psnrDb,
  referenceVerdict,
  ssim,
  videoEventVerdict,
} from "../metrics/index.ts";
import type { WorldSample } from "../world/index.ts";
import type { Stoppable } from "./evaluated-models.ts";
import type { Judges } from "./judges.ts";
import type { MetricName } from "./metric-table.ts";
import { packFeatures } from "./part-row.ts";

/** Values of one sample by metric. */
export type MetricValues = Partial<Record<MetricName, number>>;

/** What a video is compared with. */
export interface VideoTruth {
  /** The right event and the wrong ones through the autoencoder. */
  readonly events: readonly Clip[];
  /** The right event with permuted objects, through it as well. */
  readonly permuted: readonly Clip[];
  /** The clip that was asked about. */
  readonly input: Clip;
}

/** What was found of a video. */
export interface MeasuredVideo {
  readonly values: MetricValues;
  readonly event: EventVerdict;
  readonly identity: EventVerdict;
}

/** Measures that need no models. @param clip a video of the sample's answer */
export function measureVideo(clip: Clip, { events, permuted, input }: VideoTruth): MeasuredVideo {
  const truth = events[0]!;
  const event = videoEventVerdict(clip, events);
  const identity = identityVerdict(clip, truth, permuted);
  const kept = referenceVerdict(input, clip);
  return {
    event,
    identity,
    values: {
      videoEventAccuracy: event.isRight ? 1 : 0,
      identityAccuracy: identity.isRight ? 1 : 0,
      videoPsnrDb: psnrDb(truth, clip),
      videoSsim: ssim(truth, clip),
      motionEnergy: motionEnergy(clip),
      motionEnergyTruth: motionEnergy(truth),
      referenceKept: kept.isKept ? 1 : 0,
      referenceKeptShare: kept.keptShare,
      referenceKeptShareTruth: referenceVerdict(input, truth).keptShare,
    },
  };
}

/**
 * Similarities by both CLIPs.
 * @param own the caption that the video was drawn from; null where it was drawn from none
 */
export async function measureLikeness(
  clip: Clip,
  sample: WorldSample,
  own: string | null,
  { clipEval, clipReward }: Judges,
  options: Stoppable,
): Promise<MetricValues> {
  const values: MetricValues = {};
  for (const [scorer, names] of [
    [clipEval, ["clipV", "clipT", "clipTOwn"]],
    [clipReward, ["clipVReward", "clipTReward", "clipTOwnReward"]],
  ] as const) {
    if (!scorer) continue;
    values[names[0]] = (await scorer.clipV(clip, sample.output, options)).value;
    values[names[1]] = (await scorer.clipT(clip, sample.caption, options)).value;
    if (own !== null) values[names[2]] = (await scorer.clipT(clip, own, options)).value;
  }
  return values;
}

/** What the I3D makes of videos, as a row of the journal keeps it. */
export async function packedFeatures(
  clips: Readonly<Record<string, Clip>>,
  { fvd }: Judges,
  cache: WeakMap<Clip, string>,
): Promise<Record<string, string>> {
  const out: Record<string, string> = {};
  if (!fvd) return out;
  for (const [name, clip] of Object.entries(clips)) {
    const packed = cache.get(clip) ?? packFeatures(await fvd.features(clip));
    cache.set(clip, packed);
    out[name] = packed;
  }
  return out;
}
