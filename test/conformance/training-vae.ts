/**
 * The autoencoder's training loss (L1 and a small KL) with its gradients.
 * @module
 */
import {
  clampLogVariance,
  decodeLatents,
  encodeMoments,
  samplePosterior,
} from "../../src/models/wan/index.ts";
import { Params } from "../../src/nn/index.ts";
import { compile } from "../../src/runtime/index.ts";
import {
  abs,
  add,
  exp,
  grad,
  input,
  mean,
  mul,
  type NdArray,
  stack,
  sub,
  sum,
} from "../../src/tensor/index.ts";
import { type CaseHandler, type Check, checkRelative, type GoldenCase, relativeError } from "./case.ts";
import { vaeConfigOfFile } from "./wan-vae.ts";

type Norms = Readonly<Record<string, number>>;

const normOf = (gradient: NdArray): number =>
  Math.sqrt(
    Array.prototype.reduce.call(
      gradient.data,
      (total, g) => (total as number) + (g as number) ** 2,
      0,
    ) as number,
  );

async function run(golden: GoldenCase): Promise<Check[]> {
  const weights = await golden.relative(golden.config<string>("weights"));
  const config = vaeConfigOfFile(weights);
  const params = new Params();
  const feeds = { video: golden.io.get("video"), noise: golden.io.get("noise") };
  const video = input("video", feeds.video.shape);
  const moments = encodeMoments(params, config, video);
  const logVariance = clampLogVariance(moments.logVariance);
  const z = samplePosterior(moments, input("noise", feeds.noise.shape));
  const decoded = decodeLatents(params, config, z);
  const l1 = mean(abs(sub(decoded, video)));
  const excess = sub(sub(add(mul(moments.mean, moments.mean), exp(logVariance)), 1), logVariance);
  const kl = mul(sum(excess), 0.5 / video.size(0));
  const loss = add(l1, mul(kl, golden.config<number>("kl_weight")));
  const names = [...params.tensors.keys()];
  const tensors = [...params.tensors.values()];
  const outputs = { mu: moments.mean, logvar: logVariance, z, loss: stack([l1, kl, loss], 0) };
  const gradients = Object.fromEntries(grad(loss, tensors).map((g, i) => [`g:${names[i]!}`, g]));
  const klGradients = Object.fromEntries(grad(kl, tensors).map((g, i) => [`k:${names[i]!}`, g]));
  const executable = await compile(
    { ...outputs, ...gradients, ...klGradients },
    { weights: weights.binding() },
  );
  const result = await executable.run(feeds);
  await executable.release();

  const lossTolerance = golden.tolerance("loss_relative");
  const gradientTolerance = golden.tolerance("gradient_relative_to_abs_max_per_tensor");
  const checks: Check[] = [];
  for (const name of ["mu", "logvar", "z"] as const)
    checks.push(checkRelative(name, result[name]!, golden.io.get(name), gradientTolerance));
  result["loss"]!.data.forEach((value, i) => {
    const wanted = golden.io.get("loss").data[i]!;
    checks.push({
      name: `loss.${i}`,
      maxError: Math.abs(value - wanted) / Math.abs(wanted),
      tolerance: lossTolerance,
    });
  });
  const file = golden.file("gradients.safetensors");
  for (const name of file.names())
    checks.push(checkRelative(`gradient ${name}`, result[`g:${name}`]!, file.get(name), gradientTolerance));
  const norms = golden.json.values as { gradient_norms: Norms; kl_gradient_norms: Norms };
  for (const [prefix, table] of [
    ["g", norms.gradient_norms],
    ["k", norms.kl_gradient_norms],
  ] as const) {
    for (const [name, wanted] of Object.entries(table)) {
      const found = result[`${prefix}:${name}`];
      checks.push({
        name: `${prefix === "g" ? "gradient" : "KL gradient"} norm ${name}`,
        maxError: found ? relativeError([normOf(found)], [wanted]) : Number.POSITIVE_INFINITY,
        tolerance: gradientTolerance,
      });
    }
  }
  for (const name of names)
    if (!(name in norms.gradient_norms))
      checks.push({ name: `gradient norm ${name} is given`, maxError: 1, tolerance: 0 });
  return checks;
}

/** Loss and gradients of the Wan autoencoder. */
export const trainingVae: CaseHandler = {
  title: "autoencoder training",
  recognises: (golden) =>
    golden.hasConfig("weights", "kl_weight") &&
    golden.files.get("io.safetensors")?.has("video") === true &&
    golden.files.has("gradients.safetensors"),
  run,
};
