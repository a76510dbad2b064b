/** Logs that grow, are cut, and are written anew. */
import { appendFile, mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { RunLog, seriesOf } from "./run-log.ts";

const fresh = async () => join(await mkdtemp(join(tmpdir(), "vans-run-log-")), "log.jsonl");

it("reads what was added, and half a line only when it is whole", async () => {
  const path = await fresh();
  const log = new RunLog(path);
  expect((await log.read()).lines).toEqual([]);
  await writeFile(path, '{"step":1,"loss":2}\n{"step":2,"lo');
  expect((await log.read()).lines).toEqual([{ step: 1, values: { loss: 2 } }]);
  await appendFile(path, 'ss":1}\n{"step":2,"held.psnrDb":30}\n');
  const { lines, generation } = await log.read();
  expect(generation).toBe(0);
  expect(seriesOf(lines)).toEqual({
    loss: { steps: [1, 2], values: [2, 1] },
    "held.psnrDb": { steps: [2], values: [30] },
  });
  expect(seriesOf(lines, 1)).toEqual({
    loss: { steps: [2], values: [1] },
    "held.psnrDb": { steps: [2], values: [30] },
  });
});

it("notices a run that went on from an earlier step, even where the file is longer than before", async () => {
  const path = await fresh();
  const log = new RunLog(path);
  await writeFile(path, '{"step":1,"loss":5}\n{"step":2,"loss":4}\n{"step":3,"loss":3}\n');
  await log.read();
  await writeFile(
    path,
    '{"step":1,"loss":5}\n{"step":2,"loss":4.5}\n{"step":3,"loss":3.5}\n{"step":4,"loss":1}\n',
  );
  const { lines, generation } = await log.read();
  expect(generation).toBe(1);
  expect(seriesOf(lines)["loss"]?.values).toEqual([5, 4.5, 3.5, 1]);
});

it("skips lines that are no log lines and values that are no numbers", async () => {
  const path = await fresh();
  await writeFile(path, 'nonsense\n{"loss":1}\n{"step":1,"loss":null,"kl":"x","reward":2,"__proto__":3}\n');
  const { lines } = await new RunLog(path).read();
  expect(lines).toHaveLength(1);
  expect(seriesOf(lines)["reward"]).toEqual({ steps: [1], values: [2] });
});
