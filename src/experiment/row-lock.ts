/**
 * Locks between processes: a file with the number of the process that works in a folder.
 * @module
 */
import { link, mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { dirname } from "node:path";
import { z } from "zod";

const holderSchema = z.object({ pid: z.int().positive(), host: z.string() });

/** Who holds a lock. */
export type LockHolder = z.infer<typeof holderSchema>;

/** A lock that is held until released. */
export interface HeldLock {
  readonly isHeld: true;
  release(): Promise<void>;
}

/** Nobody else's lock is taken from a process that lives. */
export type LockResult = HeldLock | { readonly isHeld: false; readonly holder: LockHolder };

/** True while a process of this machine runs; processes of other machines cannot be asked and count as alive. */
function isAlive({ pid, host }: LockHolder): boolean {
  if (host !== hostname()) return true;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

const attempts = { count: 0 };

/**
 * Takes the lock at `path`, or tells who holds it. A lock whose process has ended is taken over.
 */
export async function takeLock(path: string): Promise<LockResult> {
  await mkdir(dirname(path), { recursive: true });
  const own: LockHolder = { pid: process.pid, host: hostname() };
  const draft = `${path}.${own.pid}-${attempts.count++}`;
  const text = JSON.stringify(own);
  // Written beside and linked: a lock that can be seen is whole.
  await writeFile(draft, text);
  try {
    for (;;) {
      try {
        await link(draft, path);
        return { isHeld: true, release: () => rm(path, { force: true }) };
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
      }
      const found = await readFile(path, "utf8").catch(() => undefined);
      if (found === undefined) continue;
      const holder = holderOf(found);
      if (holder && isAlive(holder)) return { isHeld: false, holder };
      // Moved away rather than removed: whoever is second finds another text behind the move and puts it back.
      const aside = `${draft}.ended`;
      if (!(await moved(path, aside))) continue;
      if ((await readFile(aside, "utf8")) !== found) await link(aside, path).catch(() => undefined);
      await rm(aside, { force: true });
    }
  } finally {
    await rm(draft, { force: true });
  }
}

function holderOf(text: string): LockHolder | undefined {
  try {
    return holderSchema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}

async function moved(from: string, to: string): Promise<boolean> {
  return rename(from, to).then(
    () => true,
    () => false,
  );
}
