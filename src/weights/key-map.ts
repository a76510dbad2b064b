/**
 * Name maps between the checkpoint formats of the same model, written as tables and read in both directions.
 *
 * A rule is a pair of templates. `{n}` stands for an index, `{leaf}` for `weight` or `bias`, `{rest}` for anything,
 * `{x:a|b}` for one of the listed words; a placeholder stands on both sides and keeps its text.
 * @module
 */
import { VansError } from "../base/errors.ts";
import { type WeightSource, weightSource } from "./weight-source.ts";

/** A pair of templates, `from` and `to`. */
export type KeyRule = readonly [from: string, to: string];

/** A two-way map between two namings. */
export interface KeyMap {
  /** What the two namings are called. */
  readonly from: string;
  readonly to: string;
  /** The `to` name of a `from` name, or undefined if the map does not know it. */
  map(name: string): string | undefined;
  /** The `from` name of a `to` name, or undefined. */
  unmap(name: string): string | undefined;
}

interface CompiledRule {
  readonly from: RegExp;
  readonly to: RegExp;
  readonly fromTemplate: string;
  readonly toTemplate: string;
}

const PLACEHOLDER = /\{(\w+)(?::([^}]*))?\}/g;
const PATTERNS: Readonly<Record<string, string>> = { n: "\\d+", m: "\\d+", leaf: "weight|bias", rest: ".+" };

/**
 * A map from its rules. The first rule that matches wins, in either direction, so several rules with the same `from`
 * side are accepted spellings of it: all are read, the first is written.
 *
 * @example
 * ```ts
 * import { keyMap } from "vans/weights";
 * const map = keyMap("short", "long", [["b{n}.{leaf}", "blocks.{n}.linear.{leaf}"]]);
 * map.map("b3.bias"); // => "blocks.3.linear.bias"
 * map.unmap("blocks.0.linear.weight"); // => "b0.weight"
 * ```
 */
export function keyMap(from: string, to: string, rules: readonly KeyRule[]): KeyMap {
  const compiled = rules.map(([left, right]): CompiledRule => {
    const words = new Map<string, string>();
    for (const [, name, listed] of `${left} ${right}`.matchAll(PLACEHOLDER)) {
      const known = listed ?? words.get(name!) ?? PATTERNS[name!];
      if (known === undefined) throw new RangeError(`the placeholder {${name}} of ${left} has no words`);
      words.set(name!, known);
    }
    return { from: matcher(left, words), to: matcher(right, words), fromTemplate: left, toTemplate: right };
  });
  return {
    from,
    to,
    map: (name) => translate(name, compiled, "from"),
    unmap: (name) => translate(name, compiled, "to"),
  };
}

function matcher(template: string, words: ReadonlyMap<string, string>): RegExp {
  const seen = new Set<string>();
  const pattern = template
    .split(/(\{[^}]*\})/)
    .map((part) => {
      const name = /^\{(\w+)/.exec(part)?.[1];
      if (name === undefined) return part.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&");
      if (seen.has(name)) return `\\k<${name}>`;
      seen.add(name);
      return `(?<${name}>${words.get(name)})`;
    })
    .join("");
  return new RegExp(`^${pattern}$`);
}

function translate(name: string, rules: readonly CompiledRule[], side: "from" | "to"): string | undefined {
  for (const rule of rules) {
    const match = rule[side].exec(name);
    if (match === null) continue;
    const template = side === "from" ? rule.toTemplate : rule.fromTemplate;
    return template.replaceAll(PLACEHOLDER, (_, placeholder: string) => match.groups![placeholder]!);
  }
  return undefined;
}

/** Original Wan names of the video transformer → diffusers names (`WanTransformer3DModel`), with I2V and VACE parts. */
export const wanDitKeyMap: KeyMap = keyMap("wan", "diffusers", [
  ["patch_embedding.{leaf}", "patch_embedding.{leaf}"],
  ["vace_patch_embedding.{leaf}", "vace_patch_embedding.{leaf}"],
  ["text_embedding.0.{leaf}", "condition_embedder.text_embedder.linear_1.{leaf}"],
  ["text_embedding.2.{leaf}", "condition_embedder.text_embedder.linear_2.{leaf}"],
  ["time_embedding.0.{leaf}", "condition_embedder.time_embedder.linear_1.{leaf}"],
  ["time_embedding.2.{leaf}", "condition_embedder.time_embedder.linear_2.{leaf}"],
  ["time_projection.1.{leaf}", "condition_embedder.time_proj.{leaf}"],
  ["img_emb.proj.0.{leaf}", "condition_embedder.image_embedder.norm1.{leaf}"],
  ["img_emb.proj.1.{leaf}", "condition_embedder.image_embedder.ff.net.0.proj.{leaf}"],
  ["img_emb.proj.3.{leaf}", "condition_embedder.image_embedder.ff.net.2.{leaf}"],
  ["img_emb.proj.4.{leaf}", "condition_embedder.image_embedder.norm2.{leaf}"],
  ["img_emb.emb_pos", "condition_embedder.image_embedder.pos_embed"],
  ["{b:blocks|vace_blocks}.{n}.modulation", "{b}.{n}.scale_shift_table"],
  ...(["self_attn", "cross_attn"] as const).flatMap((attention, index): KeyRule[] => [
    [`{b:blocks|vace_blocks}.{n}.${attention}.{p:q|k|v}.{leaf}`, `{b}.{n}.attn${index + 1}.to_{p}.{leaf}`],
    [`{b:blocks|vace_blocks}.{n}.${attention}.o.{leaf}`, `{b}.{n}.attn${index + 1}.to_out.0.{leaf}`],
    [
      `{b:blocks|vace_blocks}.{n}.${attention}.norm_{p:q|k}.weight`,
      `{b}.{n}.attn${index + 1}.norm_{p}.weight`,
    ],
  ]),
  ["blocks.{n}.cross_attn.{p:k|v}_img.{leaf}", "blocks.{n}.attn2.add_{p}_proj.{leaf}"],
  ["blocks.{n}.cross_attn.norm_k_img.weight", "blocks.{n}.attn2.norm_added_k.weight"],
  // The one affine norm of a block is the third in the original and the second in diffusers.
  ["{b:blocks|vace_blocks}.{n}.norm3.{leaf}", "{b}.{n}.norm2.{leaf}"],
  ["{b:blocks|vace_blocks}.{n}.ffn.0.{leaf}", "{b}.{n}.ffn.net.0.proj.{leaf}"],
  ["{b:blocks|vace_blocks}.{n}.ffn.2.{leaf}", "{b}.{n}.ffn.net.2.{leaf}"],
  ["vace_blocks.{n}.before_proj.{leaf}", "vace_blocks.{n}.proj_in.{leaf}"],
  ["vace_blocks.{n}.after_proj.{leaf}", "vace_blocks.{n}.proj_out.{leaf}"],
  ["head.modulation", "scale_shift_table"],
  ["head.head.{leaf}", "proj_out.{leaf}"],
]);

/** The depth of a Wan VAE, which decides how the original's flat decoder indices fall into levels. */
export interface WanVaeLayout {
  /** `num_res_blocks`; 2 in the release. The decoder has one more per level. */
  readonly resBlocks?: number;
  /** Number of resolution levels, the length of `dim_mult`; 4 in the release. */
  readonly levels?: number;
}

/** Original names of the Wan VAE → diffusers names (`AutoencoderKLWan`). */
export function wanVaeKeyMap({ resBlocks = 2, levels = 4 }: WanVaeLayout = {}): KeyMap {
  const residual = (from: string, to: string, shortcut = `${from}.shortcut`): KeyRule[] => [
    [`${from}.residual.0.gamma`, `${to}.norm1.gamma`],
    [`${from}.residual.2.{leaf}`, `${to}.conv1.{leaf}`],
    [`${from}.residual.3.gamma`, `${to}.norm2.gamma`],
    [`${from}.residual.6.{leaf}`, `${to}.conv2.{leaf}`],
    [`${shortcut}.{leaf}`, `${to}.conv_shortcut.{leaf}`],
  ];
  const rules: KeyRule[] = [
    ["conv1.{leaf}", "quant_conv.{leaf}"],
    ["conv2.{leaf}", "post_quant_conv.{leaf}"],
    ["{side:encoder|decoder}.conv1.{leaf}", "{side}.conv_in.{leaf}"],
    ["{side:encoder|decoder}.head.0.gamma", "{side}.norm_out.gamma"],
    ["{side:encoder|decoder}.head.2.{leaf}", "{side}.conv_out.{leaf}"],
    ...residual("{side:encoder|decoder}.middle.0", "{side}.mid_block.resnets.0"),
    ["{side:encoder|decoder}.middle.1.norm.gamma", "{side}.mid_block.attentions.0.norm.gamma"],
    ["{side:encoder|decoder}.middle.1.{p:to_qkv|proj}.{leaf}", "{side}.mid_block.attentions.0.{p}.{leaf}"],
    ...residual("{side:encoder|decoder}.middle.2", "{side}.mid_block.resnets.1"),
    ...residual("encoder.downsamples.{n}", "encoder.down_blocks.{n}"),
    ["encoder.downsamples.{n}.{p:resample.1|time_conv}.{leaf}", "encoder.down_blocks.{n}.{p}.{leaf}"],
  ];
  let index = 0;
  for (let level = 0; level < levels; level++) {
    for (let block = 0; block <= resBlocks; block++) {
      rules.push(...residual(`decoder.upsamples.${index++}`, `decoder.up_blocks.${level}.resnets.${block}`));
    }
    if (level === levels - 1) break;
    const to = `decoder.up_blocks.${level}.upsamplers.0`;
    rules.push([`decoder.upsamples.${index++}.{p:resample.1|time_conv}.{leaf}`, `${to}.{p}.{leaf}`]);
  }
  return keyMap("wan", "diffusers", rules);
}

/** Transformers' names of the UMT5 encoder → names in Wan's `models_t5_umt5-xxl-enc-bf16.pth`. */
export const umt5KeyMap: KeyMap = keyMap("transformers", "wan", [
  ["shared.weight", "token_embedding.weight"],
  ["encoder.embed_tokens.weight", "token_embedding.weight"],
  ["encoder.block.{n}.layer.0.SelfAttention.{p:q|k|v|o}.weight", "blocks.{n}.attn.{p}.weight"],
  [
    "encoder.block.{n}.layer.0.SelfAttention.relative_attention_bias.weight",
    "blocks.{n}.pos_embedding.embedding.weight",
  ],
  ["encoder.block.{n}.layer.0.layer_norm.weight", "blocks.{n}.norm1.weight"],
  ["encoder.block.{n}.layer.1.DenseReluDense.wi_0.weight", "blocks.{n}.ffn.gate.0.weight"],
  ["encoder.block.{n}.layer.1.DenseReluDense.wi_1.weight", "blocks.{n}.ffn.fc1.weight"],
  ["encoder.block.{n}.layer.1.DenseReluDense.wo.weight", "blocks.{n}.ffn.fc2.weight"],
  ["encoder.block.{n}.layer.1.layer_norm.weight", "blocks.{n}.norm2.weight"],
  ["encoder.final_layer_norm.weight", "norm.weight"],
]);

/** Qwen2.5-VL names on disk (`model.…`, `visual.…`) → names in memory since transformers 4.52. */
export const qwenKeyMap: KeyMap = keyMap("disk", "memory", [
  ["lm_head.weight", "lm_head.weight"],
  ["visual.{rest}", "model.visual.{rest}"],
  ["model.{rest}", "model.language_model.{rest}"],
]);

/**
 * The on-disk name of a Qwen2.5-VL tensor given either spelling.
 *
 * @example
 * ```ts
 * import { qwenDiskName } from "vans/weights";
 * qwenDiskName("model.language_model.norm.weight"); // => "model.norm.weight"
 * qwenDiskName("model.norm.weight"); // => "model.norm.weight"
 * ```
 */
export function qwenDiskName(name: string): string {
  return qwenKeyMap.unmap(name) ?? name;
}

/** A name without one of the prefixes that wrappers add (`dit.` in VANS, `model.` for the VAE in DiffSynth). */
export function withoutPrefix(name: string, prefixes: readonly string[]): string {
  const prefix = prefixes.find((candidate) => name.startsWith(candidate));
  return prefix === undefined ? name : name.slice(prefix.length);
}

/**
 * A source whose tensors go by other names. `rename` gives the new name, or undefined to keep the old one; where two
 * tensors get the same name (tied weights stored twice) the first in sorted order is kept.
 */
export function renamedSource(
  source: WeightSource,
  rename: (name: string) => string | undefined,
): WeightSource {
  const oldNames = new Map<string, string>();
  for (const name of source.names()) {
    const renamed = rename(name) ?? name;
    if (!oldNames.has(renamed)) oldNames.set(renamed, name);
  }
  const infos = new Map([...oldNames].map(([name, old]) => [name, source.info(old)]));
  return weightSource(source.path, infos, source.metadata, (_, name) => source.read(oldNames.get(name)!));
}

/**
 * A source in the naming `from` of a map, whichever of the two namings the file uses (the one that knows more names).
 *
 * @throws `VANS_WEIGHTS_NAMING_UNKNOWN` if neither naming knows any name of the file
 */
export function inNaming(source: WeightSource, map: KeyMap): WeightSource {
  const names = source.names();
  const known = names.filter((name) => map.map(name) !== undefined).length;
  const foreign = names.filter((name) => map.unmap(name) !== undefined).length;
  if (known === 0 && foreign === 0) {
    throw new VansError(
      "VANS_WEIGHTS_NAMING_UNKNOWN",
      `the names in ${source.path} are not those of this model`,
      {
        asked: `${map.from} or ${map.to} names`,
        found: names.slice(0, 4).join(", "),
        fix: "check that the file belongs to this model",
      },
    );
  }
  // A name may fit both (`model.language_model.…` is a `model.…`): what the other naming knows as well is the other naming.
  return foreign >= known ? renamedSource(source, map.unmap) : source;
}
