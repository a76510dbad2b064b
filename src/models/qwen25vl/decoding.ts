/**
 * The rows of a generation after their prompts: the cache and the decode step that extends it.
 * @module
 */
import type { Executable, Feeds, StatefulExecutable } from "../../runtime/index.ts";
import { bool, f32, i32, type NdArray, type Shape } from "../../tensor/index.ts";
import { cacheName } from "./cache.ts";
import { HIDDEN_SCORE } from "./decoder.ts";

/** Where a generation starts. */
export interface DecodingStart {
  /** Keys and values of the prompts, `[P, kvHeads, length, headWidth]` by `cacheName`. */
  readonly prompts: Feeds;
  /** First place of every prompt that is not padding. */
  readonly starts: readonly number[];
  /** Position of every prompt's next token. */
  readonly next: readonly number[];
  /** Rows that continue each prompt. */
  readonly samples: number;
  /** Places of the prompts, padding included. */
  readonly length: number;
  readonly capacity: number;
}

/** Extends rows token by token. */
export interface Decoding {
  /** Logits `[rows, vocabulary]` after one more token a row. */
  step(tokens: Int32Array, parameters: Feeds, signal: AbortSignal | undefined): Promise<NdArray>;
  /** Gives back what others may use. */
  end(): void;
}

/** A cache for all rows, filled with the prompts. */
export function startCache({ prompts, samples, length, capacity }: DecodingStart): Record<string, NdArray> {
  return Object.fromEntries(
    Object.entries(prompts).map(([name, { data, shape }]): [string, NdArray] => {
      const [count, heads, , width] = shape as [number, number, number, number];
      const out = new Float32Array(count * samples * heads * capacity * width);
      for (let block = 0; block < count * samples * heads; block++) {
        const row = Math.floor(block / heads);
        const from = (Math.floor(row / samples) * heads + (block % heads)) * length * width;
        out.set(data.subarray(from, from + length * width), block * capacity * width);
      }
      return [name, f32(out, [count * samples, heads, capacity, width])];
    }),
  );
}

/** The inputs of the decode step that move with the place. The arrays are reused from step to step. */
export class MovingInputs {
  readonly mask: NdArray;
  readonly write: NdArray;
  private readonly positions: Int32Array;
  private readonly capacity: number;
  /** The place of the next token. */
  at: number;

  constructor(start: DecodingStart) {
    const { starts, next, samples, length, capacity } = start;
    const rows = starts.length * samples;
    const mask = new Float32Array(rows * capacity).fill(HIDDEN_SCORE);
    for (let row = 0; row < rows; row++)
      mask.fill(0, row * capacity + starts[Math.floor(row / samples)]!, row * capacity + length);
    this.mask = f32(mask, [rows, 1, 1, capacity]);
    this.write = bool(new Uint8Array(capacity), [1, 1, capacity, 1]);
    this.positions = Int32Array.from({ length: rows }, (_, row) => next[Math.floor(row / samples)]!);
    this.capacity = capacity;
    this.at = length;
  }

  /** Lets the place of the next token count. */
  open(): void {
    for (let row = 0; row < this.positions.length; row++) this.mask.data[row * this.capacity + this.at] = 0;
  }

  /** Ids and positions of one token a row. */
  token(tokens: Int32Array): Record<string, NdArray> {
    const shape: Shape = [tokens.length, 1];
    return { ids: i32(tokens, shape), positions: i32(this.positions.slice(), shape), mask: this.mask };
  }

  advance(): void {
    for (let row = 0; row < this.positions.length; row++) this.positions[row]!++;
    this.at++;
  }
}

/** A decoding whose cache is plain arrays that the CPU reads in place. */
export function decodeOnHost(graph: Executable, start: DecodingStart): Decoding {
  const cache = startCache(start);
  const moving = new MovingInputs(start);
  return {
    async step(tokens, parameters, signal) {
      const feeds = { ...moving.token(tokens), ...cache, ...parameters };
      const out = await graph.run(feeds, { signal });
      for (const [name, { data, shape }] of Object.entries(cache)) {
        const [rows, heads, capacity, width] = shape as [number, number, number, number];
        const added = out[cacheName.added(name)]!.data;
        for (let block = 0; block < rows * heads; block++)
          data.set(
            added.subarray(block * width, (block + 1) * width),
            (block * capacity + moving.at) * width,
          );
      }
      moving.open();
      moving.advance();
      return out["logits"]!;
    },
    end: () => undefined,
  };
}

/** A decoding whose cache stays on the device, as the state of `graph`. */
export function decodeOnDevice(graph: StatefulExecutable, start: DecodingStart, end: () => void): Decoding {
  const moving = new MovingInputs(start);
  return {
    async step(tokens, parameters, signal) {
      moving.open();
      moving.write.data.fill(0);
      moving.write.data[moving.at] = 1;
      const feeds = { ...moving.token(tokens), write: moving.write, ...parameters };
      const out = await graph.step(feeds, { signal });
      moving.advance();
      return out["logits"]!;
    },
    end,
  };
}
