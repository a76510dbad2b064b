/**
 * Weights by name: model functions ask a scope for the tensors they need, under the names of the checkpoint.
 * @module
 */
import { VansError } from "../base/errors.ts";
import { formatShape, parameter, type Shape, sameShape, type Tensor } from "../tensor/index.ts";

/** Low-rank adapters on linear layers (Hu et al., arXiv 2106.09685). */
export interface LoraOptions {
  readonly rank: number;
  /** The adapter's output is scaled by alpha / rank. */
  readonly alpha: number;
  /** Full name of a linear layer (`model.layers.0.self_attn.q_proj`): true where it gets an adapter. */
  readonly targets: (layer: string) => boolean;
}

/** All parameters that a traced model asked for. */
export interface ParamRegistry {
  /** By name, in the order in which they were first asked for. */
  readonly tensors: ReadonlyMap<string, Tensor>;
}

/**
 * A scope in the tree of weights. `params.at("blocks", 0).get("weight", [4, 4])` is the parameter `blocks.0.weight`.
 *
 * @example
 * ```ts
 * import { Params } from "vans/nn";
 * const params = new Params();
 * params.at("blocks", 0).get("weight", [4, 2]).shape; // => [4, 2]
 * [...params.tensors.keys()]; // => ["blocks.0.weight"]
 * ```
 */
export class Params implements ParamRegistry {
  readonly path: string;
  readonly lora: LoraOptions | undefined;
  private readonly all: Map<string, Tensor>;

  constructor(
    options: { readonly lora?: LoraOptions | undefined } = {},
    path = "",
    all: Map<string, Tensor> = new Map(),
  ) {
    this.lora = options.lora;
    this.path = path;
    this.all = all;
  }

  get tensors(): ReadonlyMap<string, Tensor> {
    return this.all;
  }

  /** A scope below this one. */
  at(...names: readonly (string | number)[]): Params {
    const path = [this.path, ...names.map(String)].filter((part) => part.length > 0).join(".");
    return new Params({ lora: this.lora }, path, this.all);
  }

  /** The parameter `name` of this scope; asking twice gives the same tensor. */
  get(name: string, shape: Shape): Tensor {
    const full = this.path.length > 0 ? `${this.path}.${name}` : name;
    const before = this.all.get(full);
    if (before) {
      if (!sameShape(before.shape, shape)) {
        throw new VansError(
          "VANS_WEIGHTS_SHAPE_MISMATCH",
          `the parameter "${full}" is asked for with two shapes`,
          {
            found: `${formatShape(before.shape)} and ${formatShape(shape)}`,
          },
        );
      }
      return before;
    }
    const made = parameter(full, shape);
    this.all.set(full, made);
    return made;
  }

  /** True where the linear layer of this scope carries an adapter. */
  get hasLora(): boolean {
    return this.lora?.targets(this.path) ?? false;
  }
}
