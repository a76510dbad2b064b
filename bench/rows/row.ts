/**
 * A row of the engine benchmark: one training step, defined once here and once in `peers/engine.py`.
 * @module
 */
import { fold, keyFromSeed, normal, uniform } from "../../src/base/index.ts";
import { f32, type NdArray, type Shape, sizeOf, type Tensor } from "../../src/tensor/index.ts";

/** What a row trains. */
export interface RowGraph {
  readonly loss: Tensor;
  readonly params: ReadonlyMap<string, Tensor>;
  /** The batch, by the names of the graph's inputs. */
  readonly feeds: Readonly<Record<string, NdArray>>;
}

/** One training step that is measured beside PyTorch. */
export interface BenchRow {
  /** Name on the command line and in the peer. */
  readonly name: string;
  readonly title: string;
  /** Least allowed speed relative to PyTorch eager. */
  readonly bar: number;
  /** Gradients are clipped to this global norm; undefined: not at all. */
  readonly clipNorm?: number;
  /** Plain data that the peer builds its twin from. */
  readonly settings: Readonly<Record<string, unknown>>;
  trace(): RowGraph;
}

const DATA_SEED = 20_240;

/** Repeatable normal numbers for an input. */
export function normalFeed(name: string, shape: Shape): NdArray {
  return f32(normal(fold(keyFromSeed(DATA_SEED), name), sizeOf(shape)), shape);
}

/** Repeatable numbers in [low, high) for an input. */
export function uniformFeed(name: string, shape: Shape, low: number, high: number): NdArray {
  const values = uniform(fold(keyFromSeed(DATA_SEED), name), sizeOf(shape));
  return f32(
    values.map((value) => low + (high - low) * value),
    shape,
  );
}

/**
 * First values: ones for norms, zeros for biases, normal with variance 1 / fan-in for the rest. Good enough for
 * steps that are timed and whose losses are compared with the peer's.
 */
export function firstValues(params: ReadonlyMap<string, Tensor>): Record<string, NdArray> {
  const values = [...params].map(([name, { shape }]): [string, NdArray] => {
    const isNorm = /norm|gamma/.test(name) && !name.endsWith("bias");
    if (isNorm) return [name, f32(new Float32Array(sizeOf(shape)).fill(1), shape)];
    if (name.endsWith("bias")) return [name, f32(new Float32Array(sizeOf(shape)), shape)];
    const scale = 1 / Math.sqrt(sizeOf(shape.slice(1)));
    const data = normalFeed(`first:${name}`, shape).data as Float32Array;
    return [
      name,
      f32(
        data.map((value) => value * scale),
        shape,
      ),
    ];
  });
  return Object.fromEntries(values);
}
