/**
 * One forward and backward pass of a deep chain with large activations; `remat` as the argument recomputes every
 * block. Prints the peak memory of the run and a digest of the gradients.
 * @module
 */
import { createHash } from "node:crypto";
import { compile } from "../../../src/runtime/index.ts";
import {
  add,
  f32,
  grad,
  input,
  matmul,
  mul,
  type NdArray,
  parameter,
  remat,
  silu,
  sum,
  type Tensor,
} from "../../../src/tensor/index.ts";

const isRemat = process.argv[2] === "remat";
const BLOCKS = 10;
const ROWS = 16_384;
const WIDTH = 64;

const weights = Array.from({ length: BLOCKS }, (_, i) => parameter(`w${i}`, [WIDTH, WIDTH]));
/** One product and six activations: seven tensors of 4 MiB that a backward pass needs. */
function block(x: Tensor, w: Tensor): Tensor {
  let h = matmul(x, w);
  for (let i = 0; i < 6; i++) h = silu(h);
  return add(x, h);
}
let h = input("x", [ROWS, WIDTH]);
for (const w of weights) {
  const x = h;
  h = isRemat ? remat(() => block(x, w)) : block(x, w);
}
const loss = sum(mul(h, h));
const gradients = Object.fromEntries(grad(loss, weights).map((g, i) => [`g${i}`, g]));
const executable = await compile({ loss, ...gradients }, { threads: 1 });
const wave = (shape: number[], factor: number): NdArray =>
  f32(
    Float32Array.from({ length: shape[0]! * shape[1]! }, (_, i) => factor * Math.sin(i)),
    shape,
  );
const feeds = {
  x: wave([ROWS, WIDTH], 1),
  ...Object.fromEntries(weights.map((_, i) => [`w${i}`, wave([WIDTH, WIDTH], 0.01 * (i + 1))])),
};
const beforeMb = process.resourceUsage().maxRSS / 1024;
const results = await executable.run(feeds);
const peakMb = process.resourceUsage().maxRSS / 1024 - beforeMb;
const digest = createHash("sha256");
for (const { data } of Object.values(results)) digest.update(new Uint8Array(data.buffer));
console.log(JSON.stringify({ peakMb, nodes: executable.graph.nodeCount, digest: digest.digest("hex") }));
await executable.release();
