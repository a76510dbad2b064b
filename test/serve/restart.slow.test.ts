/** A server that ends in the middle of its work, gently or not, and begins again where it was. @module */
import { connect } from "node:net";
import { networkInterfaces } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { Client, serverProcess, type TestAnswer, testFolder } from "./testing.ts";

const ASKED = { clip: "example-candle", question: "what now?" } as const;
/** Long enough to be ended in the middle of. */
const LONG = { ...ASKED, steps: 200, samples: 8 } as const;

let home: Awaited<ReturnType<typeof testFolder>>;
let running: Awaited<ReturnType<typeof serverProcess>> | undefined;

beforeEach(async () => {
  home = await testFolder();
});
afterEach(async () => {
  running?.child.kill("SIGKILL");
  await running?.ended();
  await home.remove();
});

async function started(): Promise<Client> {
  running = await serverProcess([
    "--workers",
    "1",
    "--data",
    join(home.folder, "data"),
    "--suite",
    home.suite,
  ]);
  return new Client(running.url);
}

it("loses nothing when it is killed: the queue keeps its order, events go on from where a client was", async () => {
  let client = await started();
  const { body: long } = await client.post<TestAnswer>("/answers", {
    ...LONG,
    samples: 1,
    steps: 60,
    seed: 4,
  });
  const waiting: string[] = [];
  for (const seed of [1, 2, 3])
    waiting.push((await client.post<TestAnswer>("/answers", { ...ASKED, steps: 1, seed })).body.id);
  const before = await client.events(long.id, { until: ({ name }) => name === "step" });
  running!.child.kill("SIGKILL");
  await running!.ended();

  client = await started();
  const after = await client.events(long.id, { after: before.at(-1)!.id });
  // Nothing twice, nothing missing, although it was begun anew.
  expect(after[0]!.id).toBeGreaterThan(before.at(-1)!.id);
  expect(after.map(({ id }) => id)).toEqual(after.map((_, i) => after[0]!.id + i));
  expect(after.at(-1)!.data).toMatchObject({ state: "done", request: { seed: 4 } });
  for (const id of waiting) expect((await client.events(id)).at(-1)!.data["state"]).toBe("done");
  const { answers } = await client.get<{
    answers: (TestAnswer & { startedAt: string; finishedAt: string })[];
  }>("/answers?limit=10");
  expect(answers.map(({ id }) => id)).toEqual([...waiting].reverse().concat(long.id));
  const starts = [...answers].reverse().map(({ startedAt }) => startedAt);
  expect(starts).toEqual([...starts].sort());
});

it("stops gently: what runs goes back into the queue when its time is over, and open streams end", async () => {
  let client = await started();
  const { body: long } = await client.post<TestAnswer>("/answers", LONG);
  const { body: short } = await client.post<TestAnswer>("/answers", { ...ASKED, steps: 1 });
  await client.events(long.id, { until: ({ name }) => name === "step" });
  const stream = client.events(short.id);
  running!.child.kill("SIGTERM");
  // It still tells what it has, until what runs has ended or its 20 s are over.
  expect(await running!.ended()).toBe(0);
  expect((await stream).at(-1)!.data["state"]).toBe("queued");

  client = await started();
  await client.events(long.id, { until: ({ name }) => name === "step" });
  await client.post(`/answers/${long.id}/cancel`);
  expect((await client.events(short.id)).at(-1)!.data["state"]).toBe("done");
});

it("can be reached from this machine only, unless it is told otherwise", async () => {
  const client = await started();
  const { port } = new URL(client.url);
  const others = Object.values(networkInterfaces())
    .flat()
    .filter((one) => one !== undefined && !one.internal && one.family === "IPv4");
  for (const { address } of others as { address: string }[])
    expect(
      await new Promise((done) => {
        const socket = connect(Number(port), address);
        socket.on("connect", () => done("connected"));
        socket.on("error", (error: NodeJS.ErrnoException) => done(error.code));
      }),
    ).toBe("ECONNREFUSED");
});
