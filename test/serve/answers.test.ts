/** Questions over HTTP: from the upload to a playing video, events with replay, cancelling, restarts. */

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readMp4Metadata } from "../../src/media/index.ts";
import { type AnswerBody, TestServer } from "./testing.ts";

let server: TestServer;
beforeAll(async () => {
  server = await TestServer.start();
});
afterAll(() => server.close());

describe("answers over HTTP", () => {
  it("answers an uploaded clip with a video that can be fetched in ranges", async () => {
    const upload = (await (await server.upload(undefined, "présent <b>.mp4")).json()) as {
      id: string;
      name: string;
      durationSecs: number;
    };
    expect(upload.name).toBe("présent <b>.mp4");
    expect(upload.durationSecs).toBeCloseTo(21 / 8, 1);
    const asked = await server.call("POST", "/api/v1/answers", {
      clip: upload.id,
      question: "what should i do next?",
      seed: 3,
      steps: 2,
    });
    expect(asked.status).toBe(202);
    const { id } = (await asked.json()) as AnswerBody;
    const events = await server.events(id);
    expect(events.map(({ id }) => id)).toEqual(events.map((_, i) => i + 1));
    const names = events.map(({ event }) => event);
    expect(names[0]).toBe("state");
    expect(names.at(-1)).toBe("state");
    for (const name of ["loaded", "input", "token", "caption", "step", "frames"])
      expect(names).toContain(name);
    const step = events.find(({ event }) => event === "step")!.data as {
      preview: { url: string; frames: number };
    };
    expect(step.preview.url).toMatch(/^data:image\/png;base64,/);
    const answer = await server.ended(id);
    expect(answer.state).toBe("done");
    expect(answer.result!.settings.seed).toBe(3);
    const tokens = events.filter(
      ({ event, data }) => event === "token" && (data as { part: string }).part === "caption",
    );
    expect(
      tokens
        .map(({ data }) => (data as { text: string }).text)
        .join("")
        .trim(),
    ).toBe(answer.result!.caption);

    const whole = Buffer.from(
      await (await server.call("GET", answer.result!.files.answer[0]!)).arrayBuffer(),
    );
    const part = await server.call("GET", answer.result!.files.answer[0]!, undefined, {
      range: "bytes=10-19",
    });
    expect(part.status).toBe(206);
    expect(part.headers.get("content-range")).toBe(`bytes 10-19/${whole.length}`);
    expect(Buffer.from(await part.arrayBuffer())).toEqual(whole.subarray(10, 20));
    const path = join(server.folder, "fetched.mp4");
    await writeFile(path, whole);
    expect(JSON.stringify(await readMp4Metadata(path))).toContain("what should i do next?");

    // What a client missed, and nothing twice.
    const missed = await server.events(id, events.length - 2);
    expect(missed.map(({ id }) => id)).toEqual([events.length - 1, events.length]);
    const nothing = await server.call("GET", `/api/v1/answers/${id}/events`, undefined, {
      "last-event-id": String(events.length),
    });
    expect(nothing.status).toBe(204);

    // And then?
    const next = await server.json<AnswerBody>("POST", "/api/v1/answers", {
      clip: `answer:${id}`,
      question: "and then?",
      steps: 1,
    });
    expect((await server.ended(next.id)).state).toBe("done");
    const gone = await server.call("DELETE", `/api/v1/answers/${next.id}`);
    expect(gone.status).toBe(204);
    expect((await server.call("GET", `/api/v1/answers/${next.id}`)).status).toBe(404);
  });

  it("stops what runs and what waits", async () => {
    const ask = (seed: number): Promise<AnswerBody> =>
      server.json("POST", "/api/v1/answers", {
        clip: "example-gift",
        question: "and now?",
        steps: 150,
        seed,
      });
    const [running, waiting] = [await ask(1), await ask(2)];
    expect(waiting.position).toBe(0);
    await server.call("POST", `/api/v1/answers/${waiting.id}/cancel`);
    expect((await server.ended(waiting.id)).state).toBe("cancelled");
    await server.call("POST", `/api/v1/answers/${running.id}/cancel`);
    const stopped = await server.ended(running.id);
    expect(stopped.state).toBe("cancelled");
    expect((await server.call("GET", `/api/v1/answers/${running.id}/files/answer.mp4`)).status).toBe(404);
    expect((await server.call("GET", `/api/v1/answers?state=cancelled`)).status).toBe(200);
  });

  it("goes on with the queue after a restart", async () => {
    const asked: AnswerBody[] = [];
    for (const seed of [1, 2, 3])
      asked.push(
        await server.json("POST", "/api/v1/answers", {
          clip: "example-gift",
          question: "and now?",
          steps: 20,
          seed,
        }),
      );
    await server.restart();
    for (const { id, request } of asked) {
      const answer = await server.ended(id);
      expect(answer.state).toBe("done");
      expect(answer.result!.settings.seed).toBe(request.seed);
    }
  });

  it("draws several futures and only the seconds that are asked about", async () => {
    const { id } = await server.json<AnswerBody>("POST", "/api/v1/answers", {
      clip: "example-candle",
      question: "what happens if someone blows at the candle?",
      samples: 2,
      steps: 1,
      trim: { startSecs: 0.5, endSecs: 1.5 },
    });
    const { result } = await server.ended(id);
    expect(result!.files.answer.map((url) => url.split("/").at(-1))).toEqual([
      "answer-1.mp4",
      "answer-2.mp4",
    ]);
  });
});
