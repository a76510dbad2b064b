/**
 * What is measured of one caption by itself.
 * @module
 */
import { bestRougeL, captionEventVerdict, type EventVerdict, rougeL } from "../metrics/index.ts";
import { candidates, type WorldSample } from "../world/index.ts";
import type { MetricValues } from "./measure-video.ts";

const wordCount = (text: string): number => text.split(/\s+/).filter((word) => word !== "").length;

/** Values of a caption; those of the whole set (BLEU) are made of the captions later. */
export function measureCaption(
  caption: string,
  isWellFormed: boolean,
  sample: WorldSample,
): { readonly values: MetricValues; readonly event: EventVerdict } {
  const event = captionEventVerdict(
    caption,
    candidates(sample).map(({ paraphrases }) => paraphrases),
  );
  return {
    event,
    values: {
      templateRate: isWellFormed ? 1 : 0,
      captionEventAccuracy: event.isRight ? 1 : 0,
      rougeL: rougeL(sample.caption, caption),
      rougeLBest: bestRougeL(sample.paraphrases, caption),
      captionLengthWords: wordCount(caption),
      captionLengthWordsTruth: wordCount(sample.caption),
    },
  };
}
