/** The judge of golden cases is judged: it must see every change, and must not care for names. @module */
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { runCase } from "./run-case.ts";

const cases = new URL("../../conformance/", import.meta.url).pathname;
let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "vans cases "));
});
afterAll(() => rm(root, { recursive: true }));

type Header = Record<string, { dtype: string; shape: number[]; data_offsets: [number, number] }>;

/** A copy of a case under another name, with its tensor file changed. */
async function copyOf(
  name: string,
  change: (header: Header, data: Buffer) => void = () => undefined,
): Promise<string> {
  const folder = await mkdtemp(join(root, "some name "));
  await cp(join(cases, name), folder, { recursive: true });
  const path = join(folder, "io.safetensors");
  const bytes = await readFile(path);
  const length = Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.subarray(8, 8 + length).toString()) as Header;
  const data = Buffer.from(bytes.subarray(8 + length));
  change(header, data);
  const text = Buffer.from(JSON.stringify(header));
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(BigInt(text.length));
  await writeFile(path, Buffer.concat([size, text, data]));
  return folder;
}

it("passes cases under any name", async () => {
  // The weight files hold an integer that needs more than 32 bits.
  for (const name of ["umt5", "schedulers", "formats"])
    expect(await runCase(await copyOf(name))).toMatchObject({ status: "passed", failures: [] });
});

it("fails for one wrong number, also at padding and in the upper half of an integer", async () => {
  const wrong = async (tensor: string): Promise<string> => {
    const folder = await copyOf("umt5", (header, data) => {
      const { dtype, data_offsets: at } = header[tensor]!;
      const middle = at[0] + 8 * Math.floor((at[1] - at[0]) / 16);
      if (dtype === "F32") data.writeFloatLE(data.readFloatLE(middle) + 1, middle);
      else data[middle + 4]! ^= 1;
    });
    return (await runCase(folder)).status;
  };
  for (const tensor of ["output", "context", "stage.block1.output", "input_ids", "bucket.index"])
    expect([tensor, await wrong(tensor)]).toEqual([tensor, "failed"]);
});

it("fails for a tensor that nothing looks at, and for one that is missing", async () => {
  const more = await copyOf("umt5", (header, data) => {
    header["something.new"] = { dtype: "F32", shape: [0], data_offsets: [data.length, data.length] };
  });
  expect(await runCase(more)).toMatchObject({
    status: "failed",
    failures: ["unused tensor io.safetensors: something.new"],
  });
  const less = await copyOf("umt5", (header) => {
    header["another.name"] = header["attention_mask"]!;
    delete header["attention_mask"];
  });
  expect((await runCase(less)).status).toBe("failed");
});

it("does not guess what it does not know", async () => {
  const folder = await mkdtemp(join(root, "umt5"));
  await writeFile(join(folder, "case.json"), JSON.stringify({ name: "umt5", config: { other: 1 } }));
  expect(await runCase(folder)).toMatchObject({ status: "unknown" });
});
