/**
 * The clips of a selection, cut from their video when they are first shown to somebody: writing clips is most of the work
 * of a selection, and a clip that is left without a partner is never needed.
 * @module
 */
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { cutClip } from "./cut-clip.ts";
import type { SelectedClip, SelectedVideo } from "./select-stage.ts";
import { type ListedVideo, videoPath } from "./video-list.ts";

/**
 * Makes sure that the files of clips are there.
 *
 * @param selected the selection that the clips belong to
 * @throws as {@link cutClip}
 */
export async function cutSelected(
  folder: string,
  video: ListedVideo,
  selected: SelectedVideo,
  clips: readonly SelectedClip[],
  signal: AbortSignal | undefined,
): Promise<void> {
  for (const { clip, startSecs, endSecs } of clips) {
    const out = join(folder, clip);
    // Clips appear whole or not at all, and are named by what they hold.
    if (await stat(out).catch(() => undefined)) continue;
    await cutClip(videoPath(folder, video.path), out, {
      startSecs,
      endSecs,
      ...selected.cut,
      metadata: JSON.stringify({ video: video.id, startSecs, endSecs }),
      signal,
    });
  }
}
