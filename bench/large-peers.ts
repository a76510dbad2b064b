/**
 * Full-width blocks of vans-3b beside PyTorch's modules (transformers, diffusers) in f32 and bf16: same sizes, same cores, sides
 * taking turns in one run. The ratio is against the faster of the two; above 1 we are faster.
 *
 * Suites with few layers are enough, since a model repeats its block:
 *   for p in rest vlm vdm textEncoder vae; do npx tsx scripts/write-random-suite.ts --out /tmp/few --part $p --layers 4; done
 *   npx tsx bench/large-peers.ts --suite /tmp/few --layers 4 [--only dit,decode] [--python /opt/peer/bin/python]
 * Python needs torch, transformers and diffusers. `8bit-fast` rows quantise activations too (docs/large-models.md).
 */
import { spawnSync } from "node:child_process";
import { parseArgs } from "node:util";

const { values } = parseArgs({
  options: {
    suite: { type: "string" },
    layers: { type: "string", default: "4" },
    only: { type: "string" },
    python: { type: "string", default: process.env["VANS_PEER_PYTHON"] ?? "/opt/peer/bin/python" },
    threads: { type: "string", default: "2" },
    turns: { type: "string", default: "2" },
  },
});
if (!values.suite) throw new Error("--suite FOLDER, made by scripts/write-random-suite.ts");
const { suite, layers, threads } = values;

function lastJson(command: string, args: readonly string[]): Record<string, unknown> | undefined {
  const { stdout, stderr, status } = spawnSync(command, args, { encoding: "utf8", maxBuffer: 1e8 });
  const line = stdout.trim().split("\n").at(-1) ?? "";
  if (status === 0 && line.startsWith("{")) return JSON.parse(line) as Record<string, unknown>;
  console.error(`${args.join(" ")}\n${stderr.trim().split("\n").slice(-3).join("\n")}`);
  return undefined;
}

const ours = (args: readonly string[]): Record<string, unknown> | undefined =>
  lastJson(process.execPath, [
    "--import",
    "tsx",
    "bench/large.ts",
    "--suite",
    suite,
    "--threads",
    threads,
    "--json",
    ...args,
  ]);
const peer = (
  dtype: "f32" | "bf16",
  [stage, args]: readonly [stage: string, args: readonly string[]],
): number | undefined =>
  lastJson(values.python, ["bench/peers/large.py", stage, dtype, "--threads", threads, ...args])?.[
    "seconds"
  ] as number | undefined;

interface Row {
  readonly name: string;
  readonly peer: readonly [stage: string, args: readonly string[]];
  readonly ours: readonly {
    readonly weights: string;
    readonly args: readonly string[];
    readonly field: string;
  }[];
}

const forms = (args: readonly string[], field: string, weights: readonly string[]): Row["ours"] =>
  weights.map((one) => ({
    weights: one,
    field,
    args: one === "stored" ? args : [...args, "--weights", one],
  }));

const ROWS: readonly Row[] = [
  {
    name: `text encoder, 512 tokens, ${layers} blocks`,
    peer: ["text-encoder", ["--blocks", layers, "--tokens", "512"]],
    ours: forms(["--stage", "text-encoder", "--repeat", "4"], "encodeSecs", ["stored", "8bit-fast"]),
  },
  {
    name: "video transformer, a block of 1,536 tokens",
    peer: ["dit", ["--blocks", layers, "--latent", "6x32x32"]],
    ours: forms(
      ["--stage", "dit", "--frames", "9", "--height", "256", "--width", "256", "--repeat", "2"],
      "medianBlockSecs",
      ["stored", "8bit-fast"],
    ),
  },
  {
    name: `prefill, 512 tokens, ${layers} layers and logits`,
    peer: ["vlm-prefill", ["--blocks", layers, "--tokens", "512"]],
    ours: forms(
      ["--stage", "vlm", "--vlm-size", "252x448", "--tokens", "1", "--repeat", "4"],
      "prefillSecs",
      ["stored", "8bit-fast"],
    ),
  },
  {
    name: `decode, one token, ${layers} layers and logits`,
    peer: ["vlm-decode", ["--blocks", layers, "--tokens", "512"]],
    ours: forms(["--stage", "vlm", "--vlm-size", "252x448", "--tokens", "16"], "bestTokenSecs", [
      "stored",
      "8bit",
      "4bit",
    ]),
  },
  {
    name: "autoencoder, decode of 5 frames of 128x128",
    peer: ["vae-decode", ["--latent", "2x16x16"]],
    ours: forms(
      ["--stage", "vae", "--frames", "5", "--height", "128", "--width", "128", "--repeat", "3"],
      "decodeSecs",
      ["stored"],
    ),
  },
];

const number = (value: number | undefined): string => (value === undefined ? "–" : value.toFixed(3));
const least = (values: readonly (number | undefined)[]): number | undefined => {
  const known = values.filter((value) => value !== undefined);
  return known.length === 0 ? undefined : Math.min(...known);
};
console.log(
  "| row | weights | vans s | torch f32 s | torch bf16 s | ratio |\n| --- | --- | --: | --: | --: | --: |",
);
for (const row of ROWS) {
  if (values.only && !values.only.split(",").some((word) => row.name.includes(word))) continue;
  const theirs: { f32?: number | undefined; bf16?: number | undefined } = {};
  const secs = new Map<string, number | undefined>();
  // Sides take turns, so that what else the machine does meets both; each has its best turn.
  for (let turn = 0; turn < Number(values.turns); turn++) {
    for (const dtype of ["f32", "bf16"] as const) {
      // A form that took over twice as long as the other will not win by another turn.
      if (theirs[dtype] !== undefined && theirs[dtype] > 2 * Math.min(theirs.f32!, theirs.bf16!)) continue;
      theirs[dtype] = least([theirs[dtype], peer(dtype, row.peer)]);
    }
    for (const { weights, args, field } of row.ours)
      secs.set(weights, least([secs.get(weights), ours(args)?.[field] as number | undefined]));
  }
  const best = least([theirs.f32, theirs.bf16]);
  for (const { weights } of row.ours) {
    const own = secs.get(weights);
    const ratio = own === undefined || best === undefined ? "–" : (best / own).toFixed(2);
    console.log(
      `| ${row.name} | ${weights} | ${number(own)} | ${number(theirs.f32)} | ${number(theirs.bf16)} | ${ratio} |`,
    );
  }
}
