/**
 * Drawings of the world after the autoencoder: what answers are compared with. They depend on the sample and the autoencoder
 * alone, so systems that share one can share them; making them is most of the work of an evaluation.
 * @module
 */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { deflate, inflate } from "node:zlib";
import { z } from "zod";
import { hashFile, type Suite } from "../answer/index.ts";
import type { Clip } from "../media/clip.ts";
import { writeFileAtomically } from "../weights/atomic-file.ts";
import { worldVersion } from "../world/index.ts";
import { MEASURES_VERSION } from "./metric-table.ts";

/** `events`: the right event and the 4 wrong ones. `permuted`: the right event with permuted objects. */
export type DrawingsName = "events" | "permuted";

/** A place that keeps drawings by the sample's seed. */
export interface DrawingsPlace {
  read(seed: number, which: DrawingsName): Promise<readonly Clip[] | undefined>;
  write(seed: number, which: DrawingsName, clips: readonly Clip[]): Promise<void>;
}

/** Keeps drawings in memory: 1.7 MB a sample. */
export class DrawingsInMemory implements DrawingsPlace {
  readonly #kept = new Map<string, readonly Clip[]>();

  async read(seed: number, which: DrawingsName): Promise<readonly Clip[] | undefined> {
    return this.#kept.get(`${seed} ${which}`);
  }

  async write(seed: number, which: DrawingsName, clips: readonly Clip[]): Promise<void> {
    this.#kept.set(`${seed} ${which}`, clips);
  }
}

const headerSchema = z.object({
  clips: z.int().positive(),
  frameCount: z.int().positive(),
  height: z.int().positive(),
  width: z.int().positive(),
  frameRateHz: z.number().positive(),
});

const pack = promisify(deflate);
const unpack = promisify(inflate);
/** Pixels hardly shrink further with more effort. */
const EFFORT = 1;

/** Keeps drawings in files, which several processes may share: `<seed>-<which>.drawings`, a line of JSON, then pixels. */
export class DrawingFiles implements DrawingsPlace {
  readonly #folder: string;

  /** @param folder see {@link drawingsFolder}: one autoencoder's only */
  constructor(folder: string) {
    this.#folder = folder;
  }

  /** A file that is missing, or is no longer what was written, counts as not there: the drawings are made again. */
  async read(seed: number, which: DrawingsName): Promise<readonly Clip[] | undefined> {
    const packed = await readFile(this.#path(seed, which)).catch(() => undefined);
    if (!packed) return undefined;
    try {
      const bytes = await unpack(packed);
      const end = bytes.indexOf(10);
      const { clips, ...size } = headerSchema.parse(JSON.parse(bytes.toString("utf8", 0, end)));
      const length = size.frameCount * size.height * size.width * 3;
      if (bytes.length !== end + 1 + clips * length) return undefined;
      return Array.from({ length: clips }, (_, i) => ({
        ...size,
        rgb: new Uint8Array(bytes.subarray(end + 1 + i * length, end + 1 + (i + 1) * length)),
      }));
    } catch {
      return undefined;
    }
  }

  async write(seed: number, which: DrawingsName, clips: readonly Clip[]): Promise<void> {
    const { rgb: _, ...size } = clips[0]!;
    const header = Buffer.from(`${JSON.stringify({ clips: clips.length, ...size })}\n`);
    const packed = await pack(Buffer.concat([header, ...clips.map((clip) => clip.rgb)]), { level: EFFORT });
    await writeFileAtomically(this.#path(seed, which), async (file) => {
      await file.writeFile(packed);
    });
  }

  #path(seed: number, which: DrawingsName): string {
    return join(this.#folder, `${seed}-${which}.drawings`);
  }
}

/** The folder below `root` that holds drawings of a suite's autoencoder on a device, for this version of the world. */
export async function drawingsFolder(root: string, suite: Suite, device: string): Promise<string> {
  const { config, weights } = suite.vae;
  const files = [weights].flat();
  const facts = {
    config,
    weights: await Promise.all(files.map((path) => hashFile(path))),
    device,
    world: worldVersion,
    measures: MEASURES_VERSION,
  };
  return join(root, createHash("sha256").update(JSON.stringify(facts)).digest("hex").slice(0, 16));
}
