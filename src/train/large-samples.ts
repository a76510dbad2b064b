/**
 * What the large recipes learn from: a dataset folder (`settings.data`), or drawn samples of the playroom.
 * @module
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { VansError } from "../base/errors.ts";
import { fold, keyFromSeed, permutation } from "../base/keys.ts";
import { readSamples, type SampleRow } from "../data/index.ts";
import type { Clip } from "../media/clip.ts";
import type { WorldSample } from "../world/index.ts";
import { poolSamples } from "./sample-pool.ts";

/** One sample, clips as files or as frames. */
export interface LargeSample {
  readonly id: string;
  readonly question: string;
  readonly reasoning: string;
  readonly caption: string;
  readonly input: string | Clip;
  readonly output: string | Clip;
  /** Drawn samples only. */
  readonly world?: WorldSample;
}

/** The samples of a run, as an endless order. */
export interface LargeSamples {
  /** The sample at a place of the order, the same in every run with this seed. */
  at(place: number): LargeSample;
}

/** Settings of the samples. */
export interface LargeSampleSettings {
  /** Folder with a `manifest.parquet`; without one the playroom is drawn. */
  readonly data?: string | undefined;
  readonly split: string;
  readonly samples: number;
  readonly firstSeed: number;
}

/** Opens the samples. @throws `VANS_TRAIN_DATA` where the folder has none of this split, `VANS_DATA_MANIFEST_INVALID` */
export async function openLargeSamples(settings: LargeSampleSettings, seed: number): Promise<LargeSamples> {
  const { data, split } = settings;
  if (data === undefined) return { at: (place) => fromWorld(poolSamples(settings, seed, place, 1)[0]!) };
  const rows: SampleRow[] = [];
  if (existsSync(data)) for await (const row of readSamples(data)) if (row.split === split) rows.push(row);
  if (rows.length === 0)
    throw new VansError("VANS_TRAIN_DATA", `${data} has no samples of the split ${split}`, {
      fix: "set settings.data to the folder of a dataset, and settings.split to one of its splits",
    });
  const root = fold(keyFromSeed(seed), "large-samples");
  const orders = new Map<number, Uint32Array>();
  return {
    at: (place) => {
      const round = Math.floor(place / rows.length);
      const order = orders.get(round) ?? permutation(fold(root, round), rows.length);
      orders.set(round, order);
      const row = rows[order[place % rows.length]!]!;
      const { id, question, reasoning, caption } = row;
      return {
        id,
        question,
        reasoning,
        caption,
        input: join(data, row.input),
        output: join(data, row.output),
      };
    },
  };
}

function fromWorld(world: WorldSample): LargeSample {
  const { id, question, reasoning, caption, input, output } = world;
  return { id, question, reasoning, caption, input, output, world };
}
