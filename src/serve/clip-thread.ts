/**
 * The thread that looks into uploads: what they are, and their first frame as a picture.
 * @module
 */
import { frameOf, type MediaInfo, probe, readClip, writePng } from "../media/index.ts";
import { serveTasks } from "./serve-tasks.ts";

/** Something to find out about a file. */
export type ClipTask =
  | { readonly kind: "probe"; readonly path: string; readonly silenceSecs: number }
  | {
      readonly kind: "poster";
      readonly path: string;
      readonly poster: string;
      /** Most bytes of the frame. */
      readonly maxBytes: number;
    };

serveTasks<ClipTask, never, MediaInfo | undefined>(async (task, { signal }) => {
  if (task.kind === "probe") return probe(task.path, { signal, silenceSecs: task.silenceSecs });
  const { path, poster, maxBytes } = task;
  const first = await readClip(path, { timesSecs: [0], signal, maxBytes });
  await writePng(poster, frameOf(first, 0));
  return undefined;
});
