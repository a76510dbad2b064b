/** Picking one of several answers without the truth. @module */
import { expect, it } from "vitest";
import type { Clip } from "../media/clip.ts";
import type { ClipScorer } from "../metrics/index.ts";
import { bestIndex, CONSENSUS_REWARDS, candidateScores, TRUTHLESS_REWARDS } from "./best-of.ts";
import { REWARDS } from "./registry.ts";

const clipOf = (level: number): Clip => ({
  frameCount: 1,
  height: 1,
  width: 1,
  frameRateHz: 8,
  rgb: new Uint8Array(3).fill(level),
});
const [a, b] = [clipOf(1), clipOf(200)];
const clip = {
  clipV: async (one: Clip, other: Clip) => ({ value: one === other ? 1 : 0, perFrame: [] }),
  clipT: async (one: Clip) => ({ value: 0, perFrame: [one === a ? 0.2 : 0.5] }),
} as unknown as ClipScorer;
const answer = (
  caption: string | null,
  video: Clip | null,
  text = `[Think]x[/Think][Ans]${caption}[/Ans]`,
) => ({
  text,
  caption,
  video,
});

it("reads nothing that knows the truth", () => {
  for (const name of TRUTHLESS_REWARDS)
    for (const field of REWARDS[name].reads) expect(["text", "caption", "video"]).toContain(field);
  // The references of these are other candidates; none asks the simulated world.
  for (const name of CONSENSUS_REWARDS) expect(REWARDS[name].reads).not.toContain("sample");
});

it("sums format, CLIPScore and agreement with the other candidates", async () => {
  const scores = await candidateScores(
    [answer("it falls", a), answer("it falls", a), answer("it stays", b)],
    { clip },
  );
  // Format 1, CLIPScore, mean ROUGE-L and CLIP-V to the two others.
  expect(scores.map((score) => Math.round(score * 1000) / 1000)).toEqual([2.45, 2.45, 2]);
  expect(bestIndex(scores)).toBe(0);
});

it("lets what cannot be drawn lose, and takes a single answer as it is", async () => {
  const broken = answer(null, null, "[Think]it falls[/Think]");
  const scores = await candidateScores([broken, answer("it falls", a)], { clip });
  expect(scores[0]).toBe(0);
  expect(bestIndex(scores)).toBe(1);
  expect(await candidateScores([answer("it falls", b)], { clip })).toEqual([1.5]);
  // Without a CLIP, texts alone decide.
  expect(await candidateScores([answer("it falls", a), answer("it falls", b)], {})).toEqual([2, 2]);
});
