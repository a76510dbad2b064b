/**
 * Format reward: 1 where a response keeps the template `[Think]…[/Think][Ans]…[/Ans]`, else 0. `rf` of the VANS paper
 * (arXiv 2511.16669); the rule, which the paper does not spell out: each tag exactly once, in this order, with only
 * white space before, between and after. Looked at is the response alone, never the prompt.
 *
 * Range 0 … 1. What hacks it: an empty answer, or thinking that says nothing; both keep the template. So an empty answer
 * has no caption to draw, which costs all other rewards.
 *
 * Beside it stands the rule of what may be drawn. The released `extract_caption` takes the whole response where there is
 * no answer block; in training that would let the thinking reach the video model, which then rewards it.
 * @module
 */
import { ANSWER_TAGS, isWellFormed, strip } from "../text/index.ts";
import { need, type RewardDefinition } from "./reward.ts";

/**
 * 1 where the response keeps the template, else 0.
 *
 * @example
 * ```ts
 * import { formatScore } from "vans/rewards";
 * formatScore("[Think]It tips.[/Think][Ans]It falls.[/Ans]"); // => 1
 * formatScore("[Think]It tips.[/Think] It falls."); // => 0
 * ```
 */
export function formatScore(response: string): 0 | 1 {
  return isWellFormed(response) ? 1 : 0;
}

/**
 * The caption of a response that may be drawn in training: the text of its only answer block, if that block stands
 * outside of the thinking and is not empty; else null, and nothing is drawn. Text from the thinking is never part of it.
 *
 * @example
 * ```ts
 * import { drawableCaption } from "vans/rewards";
 * drawableCaption("[Think]It tips.[/Think][Ans] It falls. [/Ans]"); // => "It falls."
 * drawableCaption("[Think]It tips and falls.[/Think]"); // => null
 * ```
 */
export function drawableCaption(response: string): string | null {
  const parts = response.split("[Ans]");
  const [before, rest] = parts;
  if (parts.length !== 2 || before === undefined || rest === undefined) return null;
  const ends = rest.split("[/Ans]");
  const [answer, after] = ends;
  if (ends.length !== 2 || answer === undefined || after === undefined) return null;
  if (ANSWER_TAGS.some((tag) => answer.includes(tag))) return null;
  // A thinking that is still open before the answer, or that goes on behind it, has the answer inside.
  const isThinking = before.lastIndexOf("[Think]") > before.lastIndexOf("[/Think]");
  if (isThinking || after.includes("[Think]") || after.includes("[/Think]")) return null;
  const caption = strip(answer);
  return caption === "" ? null : caption;
}

/** See the file's header. */
export const formatReward: RewardDefinition = {
  range: [0, 1],
  reads: ["text"],
  about: "1 where the response keeps [Think]…[/Think][Ans]…[/Ans] to the letter",
  hackedBy: "empty thinking or an empty answer",
  make: () => async (rollout) => formatScore(need("format", rollout, "text") ?? ""),
};
