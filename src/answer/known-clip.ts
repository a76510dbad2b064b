/**
 * What an answerer keeps of a clip, and the name that it keeps it under.
 * @module
 */
import { createHash } from "node:crypto";
import { stat } from "node:fs/promises";
import { resolve } from "node:path";
import type { Clip } from "../media/clip.ts";
import type { DomainReason } from "./domain.ts";
import type { InputFrames } from "./input-frames.ts";
import type { Sight } from "./language-model.ts";
import type { LatentPreview } from "./latent-preview.ts";
import type { ClipLatents } from "./video-model.ts";

/** What is known of a clip. */
export interface KnownClip {
  readonly input: InputFrames;
  readonly domainReasons: readonly DomainReason[];
  sight?: Sight;
  latents?: ClipLatents;
  preview?: LatentPreview;
  /** Judged once; null where there is nothing to say. */
  reconstruction?: DomainReason | null;
}

/** A clip's name in memory: the same file or the same frames. */
export async function clipKey(clip: string | Clip): Promise<string> {
  if (typeof clip !== "string") {
    const { frameCount, height, width, frameRateHz, rgb } = clip;
    const hash = createHash("sha256").update(JSON.stringify([frameCount, height, width, frameRateHz]));
    return hash.update(rgb).digest("hex");
  }
  const found = await stat(clip).catch(() => undefined);
  return `${resolve(clip)}:${found?.size}:${found?.mtimeMs}`;
}
