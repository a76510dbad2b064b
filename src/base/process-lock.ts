/**
 * Locks between processes, so that two never do the same item: files `<item>.<generation>.lock`, made exclusively. A lock
 * whose owner is gone is taken over by making the next generation, which again only one process can do.
 * @module
 */
import { readFileSync } from "node:fs";
import { mkdir, open, readdir, readFile, rm, stat, utimes } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { z } from "zod";

/** Owners show signs of life this often. */
const HEARTBEAT_SECS = 5;
/** Owners on other machines count as gone after this long without one. */
const SILENCE_SECS = 60;
/** A lock without a readable owner was just made, or its maker died in that moment. */
const UNREADABLE_SECS = 10;
/** Two that stepped back for each other wait up to this long before they try again. */
const STEP_BACK_MS = 50;

const ownerSchema = z.object({ pid: z.number(), host: z.string(), started: z.string() });

/** When a process started, in the machine's own units: tells a reused process id from the old one. Linux only. */
function startOf(pid: number): string {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    return text.slice(text.lastIndexOf(")") + 2).split(" ")[19] ?? "";
  } catch {
    return "";
  }
}

/** True while this machine has a process of that number, whoever it belongs to. */
export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // Not ours to signal, but there.
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

function isAlive(pid: number, started: string): boolean {
  return isRunning(pid) && (started === "" || startOf(pid) === started);
}

/** A lock that this process holds. */
export interface HeldLock {
  release(): Promise<void>;
}

/**
 * Takes the lock of an item, or returns undefined where a living process holds it. Whoever gets it must look again
 * whether the item is done: it may have been finished between the look and the lock.
 */
export async function takeLock(folder: string, item: string): Promise<HeldLock | undefined> {
  await mkdir(folder, { recursive: true });
  for (;;) {
    const generations = await generationsOf(folder, item);
    const last = generations.at(-1);
    if (last !== undefined && (await isHeld(lockPath(folder, item, last)))) return undefined;
    const mine = (last ?? 0) + 1;
    const path = lockPath(folder, item, mine);
    if (!(await madeLock(path))) return undefined;
    if (!(await isHeldBeside(folder, item, mine))) {
      // Only while the lock is held: whoever removes them later could remove a lock that was made anew.
      await removeEnded(folder, item, mine);
      return heldLock(path);
    }
    // Another generation began between the look and the lock, because a release removed what was looked at.
    await rm(path, { force: true });
    await new Promise((done) => setTimeout(done, Math.random() * STEP_BACK_MS));
  }
}

/** Makes the file of a lock with its owner inside; false where it is there already. */
async function madeLock(path: string): Promise<boolean> {
  let file: Awaited<ReturnType<typeof open>>;
  try {
    file = await open(path, "wx");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
  try {
    const owner = { pid: process.pid, host: hostname(), started: startOf(process.pid) };
    await file.writeFile(JSON.stringify(owner));
  } finally {
    await file.close();
  }
  return true;
}

async function isHeldBeside(folder: string, item: string, mine: number): Promise<boolean> {
  for (const generation of await generationsOf(folder, item))
    if (generation !== mine && (await isHeld(lockPath(folder, item, generation)))) return true;
  return false;
}

/** Removes what the owners before left behind. */
async function removeEnded(folder: string, item: string, mine: number): Promise<void> {
  for (const generation of await generationsOf(folder, item)) {
    const path = lockPath(folder, item, generation);
    if (generation < mine && !(await isHeld(path))) await rm(path, { force: true });
  }
}

function heldLock(path: string): HeldLock {
  const heartbeat = setInterval(() => {
    const now = new Date();
    utimes(path, now, now).catch(() => {});
  }, HEARTBEAT_SECS * 1000);
  heartbeat.unref();
  return {
    async release() {
      clearInterval(heartbeat);
      await rm(path, { force: true });
    },
  };
}

function lockPath(folder: string, item: string, generation: number): string {
  return join(folder, `${item}.${generation}.lock`);
}

async function generationsOf(folder: string, item: string): Promise<number[]> {
  const names = await readdir(folder);
  return names
    .filter((name) => name.startsWith(`${item}.`) && name.endsWith(".lock"))
    .map((name) => Number(name.slice(item.length + 1, -".lock".length)))
    .filter((generation) => Number.isInteger(generation))
    .sort((a, b) => a - b);
}

async function isHeld(path: string): Promise<boolean> {
  try {
    const { mtimeMs } = await stat(path);
    const silentSecs = (Date.now() - mtimeMs) / 1000;
    const text = await readFile(path, "utf8");
    let owner: z.infer<typeof ownerSchema>;
    try {
      owner = ownerSchema.parse(JSON.parse(text));
    } catch {
      return silentSecs < UNREADABLE_SECS;
    }
    if (owner.host === hostname()) return isAlive(owner.pid, owner.started);
    return silentSecs < SILENCE_SECS;
  } catch {
    return false;
  }
}
