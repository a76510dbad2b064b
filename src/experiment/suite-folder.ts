/**
 * Suites made of trained parts: a base suite's files, with adapters beside them or weights in their place.
 * @module
 */
import { copyFile, link, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { basename, dirname, extname, join, relative, resolve, sep } from "node:path";
import { SUITE_FILE, type Suite } from "../answer/suite.ts";
import { VansError } from "../base/errors.ts";
import { isTextEncoderName } from "../train/train-vdm.ts";
import { asFloat32, loraName, parseLoraName, readSafetensors, writeSafetensors } from "../weights/index.ts";
import { adapterRank, isLayerOf, type PartResult, type PartResults, TRAINED_PARTS } from "./task-results.ts";

/** What the new suite says about itself. */
export interface TrainedSuiteOptions {
  readonly name: string;
  readonly about: string;
  readonly version?: string | undefined;
  /** Settings of the answer that differ from the base suite's. */
  readonly answer?: Readonly<Record<string, unknown>> | undefined;
  /** Put copies of the base suite's files into the folder instead of pointing at them; for suites that travel. */
  readonly whole?: boolean | undefined;
}

/**
 * Writes a suite of a base suite and trained parts into a folder, replacing what is there. Adapters are written as PEFT
 * writes them (`adapter_config.json`, `adapter_model.safetensors`); trained weights take the place of the base suite's.
 *
 * @throws `VANS_EXPERIMENT_BASE` for a base suite that has an adapter on a trained part
 */
export async function writeTrainedSuite(
  folder: string,
  base: Suite,
  parts: PartResults,
  options: TrainedSuiteOptions,
): Promise<void> {
  if (base.adapters.length > 0)
    throw new VansError(
      "VANS_EXPERIMENT_BASE",
      `${base.name} has adapters, so nothing can be put beside them`,
      {
        found: `adapters on ${base.adapters.map(({ part }) => part).join(" and ")}`,
        fix: "start from the suite that they were trained on",
      },
    );
  if (resolve(folder) === resolve(base.folder))
    throw new VansError(
      "VANS_EXPERIMENT_BASE",
      "a suite cannot take the place of the one that it is made of",
      {
        asked: folder,
        fix: "give another folder",
      },
    );
  const card = "README.md";
  // Someone may have written it.
  const page = await readFile(join(folder, card), "utf8").catch(() => undefined);
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  const adapters: object[] = [];
  for (const part of TRAINED_PARTS) {
    const result = parts[part];
    if (result?.kind === "adapter") adapters.push(await writeAdapter(folder, result));
  }
  const isWhole = options.whole === true || Object.values(parts).some(({ kind }) => kind === "full");
  const { name, about, answer, version } = options;
  await writeFile(join(folder, card), page ?? `# ${name}\n\n${about}\n\nMade from the suite ${base.name}.\n`);
  const own = { name, about, adapters, card, ...(version !== undefined && { version }) };
  const described = isWhole
    ? {
        ...base.manifest,
        ...(await wholeParts(folder, base, parts)),
        ...own,
        answer: { ...base.manifest.answer, ...answer },
      }
    : { ...own, extends: posix(relative(folder, base.folder)), ...(answer && { answer }) };
  await writeFile(join(folder, SUITE_FILE), `${JSON.stringify(described, undefined, 2)}\n`);
}

const posix = (path: string): string => path.split(sep).join("/");

/** An adapter in PEFT's files and names; returns its entry in `suite.json`. */
async function writeAdapter(folder: string, result: PartResult): Promise<object> {
  const own = `${result.part}-adapter`;
  await mkdir(join(folder, own), { recursive: true });
  const rank = await adapterRank(result);
  const layers = new Set<string>();
  const tensors: [string, { shape: readonly number[]; data: Float32Array }][] = [];
  for (const [name, tensor] of await readSafetensors(result.weights)) {
    const factor = parseLoraName(name);
    if (!factor || !isLayerOf(result.part, factor.module)) continue;
    layers.add(factor.module);
    tensors.push([loraName(factor, { adapter: null }), { shape: tensor.shape, data: asFloat32(tensor) }]);
  }
  const config = {
    peft_type: "LORA",
    r: rank,
    lora_alpha: result.alpha,
    lora_dropout: 0,
    bias: "none",
    target_modules: [...layers].sort(),
  };
  await writeFile(join(folder, own, "adapter_config.json"), `${JSON.stringify(config, undefined, 2)}\n`);
  await writeSafetensors(join(folder, own, "adapter_model.safetensors"), tensors, {
    metadata: { format: "pt" },
  });
  return {
    part: result.part,
    config: `${own}/adapter_config.json`,
    weights: `${own}/adapter_model.safetensors`,
  };
}

const PARTS = ["vlm", "vdm", "vae", "textEncoder", "clip", "clipEval", "i3d"] as const;

/** All parts inside the folder: files of the base suite, and trained weights as bf16. */
async function wholeParts(folder: string, base: Suite, parts: PartResults): Promise<Record<string, unknown>> {
  const out: Record<string, unknown> = {};
  for (const name of PARTS) {
    const part = base.manifest[name];
    if (!part) continue;
    await mkdir(join(folder, name), { recursive: true });
    const placed = async (path: string): Promise<string> => {
      const at = `${name}/${basename(path)}`;
      await place(base.at(path), join(folder, at));
      return at;
    };
    const weights: string[] = [];
    const trained = trainedWeights(name, parts);
    if (trained) weights.push(await trained(folder));
    else for (const path of part.weights) weights.push(await placed(path));
    out[name] = {
      ...part,
      config: await placed(part.config),
      weights,
      ...("tokenizer" in part && { tokenizer: await placed(part.tokenizer) }),
    };
  }
  return out;
}

/** Writes the trained weights of a part, if there are some. A video model's training gives its text encoder as well. */
function trainedWeights(
  name: (typeof PARTS)[number],
  { vlm, vdm }: PartResults,
): ((folder: string) => Promise<string>) | undefined {
  const write =
    ({ weights }: PartResult, isOwn: (tensor: string) => boolean) =>
    async (folder: string): Promise<string> => {
      const at = `${name}/model.safetensors`;
      const tensors = [...(await readSafetensors(weights))]
        .filter(([tensor]) => isOwn(tensor))
        .map(([tensor, stored]): [string, { shape: readonly number[]; data: Float32Array }] => [
          tensor,
          { shape: stored.shape, data: asFloat32(stored) },
        ]);
      await writeSafetensors(join(folder, at), tensors, { dtype: "BF16", metadata: { format: "pt" } });
      return at;
    };
  if (name === "vlm" && vlm?.kind === "full") return write(vlm, () => true);
  if (vdm?.kind !== "full") return undefined;
  if (name === "vdm") return write(vdm, (tensor) => !isTextEncoderName(tensor));
  return name === "textEncoder" ? write(vdm, isTextEncoderName) : undefined;
}

/** A file at another place without using space where the disk can do that. Weight files are replaced, never changed. */
async function place(from: string, to: string): Promise<void> {
  if (extname(from) === ".safetensors") {
    const isLinked = await link(from, to).then(
      () => true,
      () => false,
    );
    if (isLinked) return;
  }
  await mkdir(dirname(to), { recursive: true });
  await copyFile(from, to);
}
