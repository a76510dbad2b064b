/**
 * Encoded training clips, shared by all runs of the project.
 * @module
 */
import { mkdir, symlink } from "node:fs/promises";
import { join, relative, resolve } from "node:path";

/**
 * Trainings keep encoded clips in `.cache` beside their folder. Makes that of a folder of runs the one of `runs/`, so that the
 * minutes of encoding are spent once.
 */
export async function shareCache(folder: string): Promise<void> {
  const shared = resolve("runs", ".cache");
  await mkdir(shared, { recursive: true });
  await mkdir(folder, { recursive: true });
  await symlink(relative(resolve(folder), shared), join(folder, ".cache")).catch(
    (error: NodeJS.ErrnoException) => {
      if (error.code !== "EEXIST") throw error;
    },
  );
}
