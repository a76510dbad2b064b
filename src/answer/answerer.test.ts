/** The whole way of an answer on random weights: events, repetition, reuse, warnings, stopping, memory. @module */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { isVansError } from "../base/errors.ts";
import { fitClip, frameOf, writePng } from "../media/index.ts";
import { liveSessions } from "../runtime/index.ts";
import { sampleForSeed } from "../world/index.ts";
import { answer, finalReport } from "./answer.ts";
import type { AnswerEvent, AnswerReport } from "./answer-event.ts";
import type { AnswerRequest } from "./answer-request.ts";
import { type Answerer, openAnswerer } from "./answerer.ts";
import { measureDomain } from "./domain.ts";
import { SCRIPT, writeRandomSuite } from "./testing/random-suite.ts";

let root: string;
let folder: string;
let answerer: Answerer;
const clip = sampleForSeed(900_001).input;
const question = "What happens next?";

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "vans-answer-"));
  folder = await writeRandomSuite(join(root, "random"));
  answerer = await openAnswerer(folder);
});
afterAll(async () => {
  await answerer.release();
  await rm(root, { recursive: true, force: true });
});

async function all(events: AsyncGenerator<AnswerEvent, AnswerReport>): Promise<AnswerEvent[]> {
  const seen: AnswerEvent[] = [];
  for await (const event of events) seen.push(event);
  return seen;
}

const ask = (request: Partial<AnswerRequest> = {}): Promise<AnswerReport> =>
  finalReport(answerer.answer({ clip, question, ...request }));

const prints = (report: AnswerReport): string[] => report.samples.map((sample) => sample.framesSha256);

describe("an answer", () => {
  it("tells in order what it does, and ends with a report", async () => {
    const events = await all(answerer.answer({ clip, question, steps: 2, preview: "linear" }));
    const kinds = events.map((event) => event.type);
    expect(kinds.filter((kind, i) => kind !== kinds[i - 1])).toEqual([
      "loaded",
      "input",
      "token",
      "caption",
      "step",
      "frames",
      "done",
    ]);
    const text = (part: string): string =>
      events.map((event) => (event.type === "token" && event.part === part ? event.text : "")).join("");
    expect([text("reasoning"), text("caption")]).toEqual(["the tower leans over", "a red block falls down"]);
    const steps = events.filter((event) => event.type === "step");
    expect(steps.map(({ step, steps: total }) => [step, total])).toEqual([
      [1, 2],
      [2, 2],
    ]);
    expect(steps[0]!.preview).toMatchObject({ frameCount: 5, height: 4, width: 4 });
    const done = events.at(-1);
    if (done?.type !== "done") throw new Error("no report");
    const { report } = done;
    expect(report.samples[0]).toMatchObject({
      sample: 0,
      text: SCRIPT,
      caption: "a red block falls down",
      wellFormed: true,
      captionFrom: "answer",
    });
    expect(report.samples[0]!.clip).toMatchObject({ frameCount: 17, height: 32, width: 32, frameRateHz: 8 });
    expect(report.settings).toMatchObject({ steps: 2, seed: 0, samples: 1, scheduler: "euler" });
    expect(report.input).toMatchObject({
      frameCount: 21,
      height: 64,
      width: 64,
      isStill: false,
      path: undefined,
    });
    expect(Object.keys(report.suite.hashes)).toContain("vdm/model.safetensors");
    expect(Object.values(report.timingsSecs).every((secs) => secs >= 0)).toBe(true);
    expect(report.warnings).toEqual([]);
  });

  it("is the same for the same seed and another for another", async () => {
    const first = prints(await ask({ seed: 3 }));
    expect(prints(await ask({ seed: 3 }))).toEqual(first);
    expect(prints(await ask({ seed: 4 }))).not.toEqual(first);
  });

  it("draws futures that do not depend on how many are drawn", async () => {
    const three = prints(await ask({ samples: 3 }));
    expect(new Set(three).size).toBe(3);
    expect(prints(await ask({ samples: 1, firstSample: 2 }))).toEqual([three[2]]);
  });

  it("keeps what it knows of a clip for the second question", async () => {
    const fresh = { ...clip, rgb: clip.rgb.map((level) => 255 - level) };
    const first = await ask({ clip: fresh });
    const second = await ask({ clip: fresh, question: "And if it rolls left?" });
    expect(first.timingsSecs.references).toBeGreaterThan(0);
    expect(second.timingsSecs.references).toBe(0);
    expect(second.timingsSecs.see).toBe(0);
    expect(second.timingsSecs.load).toBe(0);
  });

  it("is the same with little memory, in one call, which gives everything back", async () => {
    const before = liveSessions();
    const report = await finalReport(answer({ clip, question, suite: folder, memory: "low", seed: 3 }));
    expect(liveSessions()).toBe(before);
    expect(prints(report)).toEqual(prints(await ask({ seed: 3 })));
  });

  it("takes a still image, from a file", async () => {
    const path = join(root, "still.png");
    await writePng(path, frameOf(clip, 0));
    const report = await ask({ clip: path });
    expect(report.input).toMatchObject({ isStill: true, frameCount: 1, path });
    expect(report.samples[0]!.clip.frameCount).toBe(17);
  });

  it("answers one question at a time and the others in turn", async () => {
    const [a, b] = await Promise.all([ask({ seed: 3 }), ask({ seed: 4 })]);
    expect([prints(a), prints(b)]).toEqual([prints(await ask({ seed: 3 })), prints(await ask({ seed: 4 }))]);
  });
});

describe("warnings", () => {
  it("tell of a response without its format, and draw no thinking", async () => {
    const says = "[Think]the tower leans over";
    const other = await writeRandomSuite(join(root, "thinker"), { says });
    const report = await finalReport(answer({ clip, question, suite: other, steps: 1 }));
    expect(report.warnings.map(({ code }) => code)).toEqual(["VANS_ANSWER_TEMPLATE"]);
    expect(report.samples[0]).toMatchObject({
      caption: question,
      captionFrom: "question",
      wellFormed: false,
    });
  });

  it("tell of footage that the suite was not trained on, with the reason and the way out", async () => {
    function* clips() {
      for (let i = 0; i < 24; i++) {
        const { input } = sampleForSeed(i);
        const still = { ...input, frameCount: 1, rgb: input.rgb.slice(0, 64 * 64 * 3) };
        yield fitClip(still, { height: 32, width: 32 });
      }
    }
    const domain = { ...(await measureDomain(clips())), reconstruction: { low: 0, high: 5 } };
    const other = await openAnswerer(await writeRandomSuite(join(root, "judge"), { domain }));
    try {
      const noise = { ...clip, rgb: clip.rgb.map((_, i) => (i * 7919) % 251) };
      const strange = await finalReport(other.answer({ clip: noise, question, steps: 1 }));
      expect(strange.warnings).toHaveLength(1);
      expect(strange.warnings[0]).toMatchObject({ code: "VANS_OUT_OF_DOMAIN" });
      expect(strange.warnings[0]!.message).toContain("the suite's own clips have");
      expect(strange.warnings[0]!.fix).toContain("--suite vans-3b");
      // The random autoencoder knows no footage at all.
      const known = { ...clip, frameCount: 1, rgb: clip.rgb.slice(0, 64 * 64 * 3) };
      const blurred = await finalReport(other.answer({ clip: known, question, steps: 1 }));
      expect(blurred.warnings.map(({ code }) => code)).toEqual(["VANS_OUT_OF_DOMAIN"]);
      expect(blurred.warnings[0]!.message).toContain("autoencoder");
    } finally {
      await other.release();
    }
  });

  it("tell of a clip that is longer than the suite's", async () => {
    const report = await ask({ clip: { ...clip, frameRateHz: 2 }, steps: 1 });
    expect(report.warnings.map(({ code }) => code)).toEqual(["VANS_CLIP_SPED_UP"]);
  });
});

describe("stopping", () => {
  it("stops within one step and gives everything back", async () => {
    const before = liveSessions();
    const stop = new AbortController();
    const seen: number[] = [];
    const run = async (): Promise<void> => {
      for await (const event of answer({ clip, question, suite: folder, steps: 50, signal: stop.signal })) {
        if (event.type !== "step") continue;
        seen.push(event.step);
        if (event.step === 2) stop.abort();
      }
    };
    await expect(run()).rejects.toSatisfy((error) => isVansError(error, "VANS_RUN_ABORTED"));
    expect(seen).toEqual([1, 2]);
    expect(liveSessions()).toBe(before);
  });

  it("lets the next question in when a stream is left early", async () => {
    for await (const event of answerer.answer({ clip, question })) if (event.type === "caption") break;
    expect((await ask()).samples).toHaveLength(1);
  });

  it("does nothing for a signal that was triggered before", async () => {
    const run = finalReport(
      answer({ clip: "none.mp4", question, reuse: answerer, signal: AbortSignal.abort() }),
    );
    await expect(run).rejects.toSatisfy(isVansError);
  });
});

describe("requests", () => {
  it("are refused with every reason", async () => {
    const wrong = { seed: -1, steps: 0, guidanceScale: Number.NaN, samples: 1.5 };
    const error = await ask(wrong).catch((reason: unknown) => reason);
    if (!isVansError(error, "VANS_ANSWER_REQUEST")) throw error;
    expect(error.details.data?.["problems"]).toHaveLength(4);
    await expect(ask({ question: "  " })).rejects.toThrow(/question is empty/);
  });

  it("are refused where the question leaves no room for an answer", async () => {
    // Few characters, but nearly each one a token.
    const long = "q? ".repeat(1300);
    await expect(ask({ question: long })).rejects.toSatisfy((error) =>
      isVansError(error, "VANS_MODEL_TOO_LONG"),
    );
    await expect(ask({ question: "what happens next ".repeat(300) })).rejects.toSatisfy((error) =>
      isVansError(error, "VANS_ANSWER_REQUEST"),
    );
  });
});
