/**
 * The shape of a Wan video transformer, read from either published form of its `config.json`.
 * @module
 */
import { VansError } from "../../base/index.ts";

/** Sizes of a Wan text-to-video transformer. Field names follow the original `config.json` of Wan 2.1. */
export interface DitConfig {
  /** Edge lengths of a patch in latent elements: frames, rows, columns. */
  readonly patchSize: readonly [number, number, number];
  /** Channels of the latents that go in. */
  readonly inDim: number;
  /** Channels of the velocity that comes out. */
  readonly outDim: number;
  /** Width of the token stream. */
  readonly dim: number;
  readonly ffnDim: number;
  /** Size of the sinusoidal time features; even. */
  readonly freqDim: number;
  /** Width of the text embeddings. */
  readonly textDim: number;
  /** Length to which text embeddings are padded with zero rows. */
  readonly textLen: number;
  readonly numHeads: number;
  readonly numLayers: number;
  /** Epsilon of all norms. */
  readonly eps: number;
}

/** Wan2.1-T2V-1.3B, as in its published `config.json`; the base of the released VANS weights. */
export const WAN_T2V_1_3B: DitConfig = {
  patchSize: [1, 2, 2],
  inDim: 16,
  outDim: 16,
  dim: 1536,
  ffnDim: 8960,
  freqDim: 256,
  textDim: 4096,
  textLen: 512,
  numHeads: 12,
  numLayers: 30,
  eps: 1e-6,
};

/** Elements per attention head. */
export function ditHeadDim(config: DitConfig): number {
  return config.dim / config.numHeads;
}

/**
 * Reads a `config.json` of the original repository (`dim`, `num_heads`, …) or of diffusers
 * (`num_attention_heads`, `attention_head_dim`, …). Fields that are absent have the defaults of Wan's `WanModel`.
 *
 * @example
 * ```ts
 * import { ditConfigFromJson } from "vans/models/wan";
 * ditConfigFromJson({ num_attention_heads: 2, attention_head_dim: 20, num_layers: 3 }).dim; // => 40
 * ```
 * @throws `VANS_DIT_CONFIG` for variants that this transformer is not (image-to-video, VACE, other norms) and for sizes
 * that do not divide.
 */
export function ditConfigFromJson(json: Readonly<Record<string, unknown>>): DitConfig {
  refuseVariants(json);
  const number = (names: readonly string[], fallback: number): number => {
    const value = names.map((name) => json[name]).find((candidate) => typeof candidate === "number");
    return (value as number | undefined) ?? fallback;
  };
  const isDiffusers = json["num_attention_heads"] !== undefined;
  const numHeads = number(["num_attention_heads", "num_heads"], 16);
  const dim = isDiffusers ? numHeads * number(["attention_head_dim"], 128) : number(["dim"], 2048);
  const patch = (json["patch_size"] as readonly number[] | undefined) ?? [1, 2, 2];
  return checked({
    patchSize: [patch[0]!, patch[1]!, patch[2]!],
    inDim: number(["in_channels", "in_dim"], 16),
    outDim: number(["out_channels", "out_dim"], 16),
    dim,
    ffnDim: number(["ffn_dim"], 8192),
    freqDim: number(["freq_dim"], 256),
    textDim: number(["text_dim"], 4096),
    textLen: number(["text_len"], 512),
    numHeads,
    numLayers: number(["num_layers"], 32),
    eps: number(["eps"], 1e-6),
  });
}

function refuseVariants(json: Readonly<Record<string, unknown>>): void {
  const { model_type: kind, image_dim: image, added_kv_proj_dim: added, vace_layers: vace } = json;
  const unlike = [
    kind !== undefined && kind !== "t2v" ? `model_type ${String(kind)}` : undefined,
    image != null || added != null ? "image cross-attention" : undefined,
    vace != null ? "vace_layers" : undefined,
    json["cross_attn_norm"] === false ? "cross_attn_norm false" : undefined,
    typeof json["qk_norm"] === "string" && json["qk_norm"] !== "rms_norm_across_heads"
      ? `qk_norm ${json["qk_norm"]}`
      : undefined,
    json["qk_norm"] === false ? "qk_norm false" : undefined,
  ].filter((reason) => reason !== undefined);
  if (unlike.length === 0) return;
  throw new VansError("VANS_DIT_CONFIG", "this is another variant of the Wan transformer", {
    asked: "text-to-video with norms across heads (Wan2.1-T2V)",
    found: unlike.join(", "),
    fix: "use the weights and config.json of Wan-AI/Wan2.1-T2V-1.3B or a suite made by this project",
  });
}

function checked(config: DitConfig): DitConfig {
  const headDim = ditHeadDim(config);
  if (!Number.isInteger(headDim) || headDim % 2 !== 0 || config.freqDim % 2 !== 0) {
    throw new VansError("VANS_DIT_CONFIG", "the sizes of the transformer do not divide", {
      asked: "dim / heads an even integer, freq_dim even",
      found: `dim ${config.dim}, heads ${config.numHeads}, freq_dim ${config.freqDim}`,
    });
  }
  return config;
}
