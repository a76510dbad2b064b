/** Silence ends work, also such that does not end by itself. @module */
import { setTimeout as sleep } from "node:timers/promises";
import { expect, it } from "vitest";
import { Silent, withinSilence } from "./silence.ts";

const never = (): Promise<never> => new Promise(() => undefined);

it("ends work that nothing is heard of, and tells it", async () => {
  let told: AbortSignal | undefined;
  const work = withinSilence({ mostMs: 30 }, (signal) => {
    told = signal;
    return never();
  });
  await expect(work).rejects.toBeInstanceOf(Silent);
  expect(told!.aborted).toBe(true);
});

it("lets work go on as long as something is heard", async () => {
  const result = withinSilence({ mostMs: 300 }, async (_, alive) => {
    for (let i = 0; i < 6; i++) {
      await sleep(100);
      alive();
    }
    return "done";
  });
  expect(await result).toBe("done");
});

it("ends by the caller's signal, before and during the work", async () => {
  const stop = new AbortController();
  const work = withinSilence({ mostMs: 60_000, signal: stop.signal }, never);
  stop.abort(new Error("enough"));
  await expect(work).rejects.toThrow("enough");
  await expect(withinSilence({ mostMs: 60_000, signal: stop.signal }, never)).rejects.toThrow("enough");
});
