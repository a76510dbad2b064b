/**
 * The queue on disk: one SQLite file that survives restarts and `kill -9`. What was running when the server ended is queued
 * again when it comes back.
 * @module
 */
import { randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import sqlite from "node-sqlite3-wasm";
import { VansError } from "../base/errors.ts";
import type { ErrorBody, Job, JobKind, JobState, Progress } from "./job.ts";

const TABLES = `
CREATE TABLE IF NOT EXISTS jobs (
  sequence INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE NOT NULL, kind TEXT NOT NULL, state TEXT NOT NULL,
  createdAt TEXT NOT NULL, startedAt TEXT, finishedAt TEXT, client TEXT NOT NULL, groupName TEXT, parent TEXT,
  attempts INTEGER NOT NULL DEFAULT 0, request TEXT NOT NULL, result TEXT, error TEXT
);
CREATE INDEX IF NOT EXISTS jobs_by_state ON jobs (state, kind, sequence);
CREATE TABLE IF NOT EXISTS uploads (
  sequence INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE NOT NULL, facts TEXT NOT NULL
);`;

/** Work that keeps ending its thread is not begun more often than this. */
const MOST_ATTEMPTS = 3;

/** What is asked of {@link JobStore.list}. */
export interface JobFilter {
  readonly kind?: JobKind | undefined;
  readonly state?: JobState | undefined;
  readonly group?: string | undefined;
  readonly client?: string | undefined;
  /** Only jobs that came before this one. */
  readonly before?: string | undefined;
  readonly limit?: number | undefined;
}

/** An id that cannot be guessed and is safe in a path. */
export function newId(): string {
  return randomBytes(9).toString("base64url").replaceAll("-", "0").replaceAll("_", "1");
}

/** Jobs and uploads. */
export class JobStore {
  readonly #db: InstanceType<typeof sqlite.Database>;
  readonly #ownerFile: string;
  /** Progress lives in memory: it is of no use after a restart. */
  readonly #progress = new Map<string, Progress>();

  /** Opens or makes the store of a folder. @throws `VANS_SERVE_DATA_IN_USE`, `VANS_SERVE_DATA_UNWRITABLE` */
  constructor(folder: string) {
    this.#ownerFile = join(folder, "server.pid");
    try {
      mkdirSync(folder, { recursive: true });
      this.#claim(folder);
      // A server that was killed leaves the library's lock behind.
      rmSync(join(folder, "jobs.sqlite.lock"), { recursive: true, force: true });
      this.#db = new sqlite.Database(join(folder, "jobs.sqlite"));
      this.#db.exec(TABLES);
    } catch (cause) {
      if (cause instanceof VansError) throw cause;
      throw new VansError("VANS_SERVE_DATA_UNWRITABLE", "the folder of the server's data cannot be used", {
        asked: folder,
        found: (cause as Error).message,
        fix: "check permissions and free space, or choose another folder with --data",
        cause,
      });
    }
    this.#db.run(
      "UPDATE jobs SET state = 'failed', finishedAt = ?, error = ? WHERE state = 'running' AND attempts >= ?",
      [now(), JSON.stringify(TOO_OFTEN), MOST_ATTEMPTS],
    );
    this.#db.run("UPDATE jobs SET state = 'queued', startedAt = NULL WHERE state = 'running'");
  }

  #claim(folder: string): void {
    let owner = Number.NaN;
    try {
      owner = Number(readFileSync(this.#ownerFile, "utf8"));
    } catch {
      // Nobody has it.
    }
    if (owner !== process.pid && isAlive(owner))
      throw new VansError("VANS_SERVE_DATA_IN_USE", "another server uses this folder", {
        asked: folder,
        found: `process ${owner}`,
        fix: "stop that server, or choose another folder with --data",
      });
    writeFileSync(this.#ownerFile, String(process.pid));
  }

  /** Adds a job to the end of the queue. */
  add(job: Pick<Job, "kind" | "client" | "group" | "parent" | "request">): Job {
    const id = newId();
    this.#db.run(
      "INSERT INTO jobs (id, kind, state, createdAt, client, groupName, parent, request) VALUES (?, ?, 'queued', ?, ?, ?, ?, ?)",
      [id, job.kind, now(), job.client, job.group, job.parent, JSON.stringify(job.request)],
    );
    return this.get(id)!;
  }

  /** A job. */
  get(id: string): Job | undefined {
    const row = this.#db.get("SELECT * FROM jobs WHERE id = ?", [id]);
    return row ? this.#jobOf(row) : undefined;
  }

  /** Jobs, the newest first. */
  list(filter: JobFilter = {}): Job[] {
    const wishes: string[] = [];
    const values: (string | number)[] = [];
    const wish = (sql: string, value: string | undefined): void => {
      if (value === undefined) return;
      wishes.push(sql);
      values.push(value);
    };
    wish("kind = ?", filter.kind);
    wish("state = ?", filter.state);
    wish("groupName = ?", filter.group);
    wish("client = ?", filter.client);
    wish("sequence < (SELECT sequence FROM jobs WHERE id = ?)", filter.before);
    const where = wishes.length > 0 ? `WHERE ${wishes.join(" AND ")}` : "";
    values.push(filter.limit ?? 100);
    return this.#db
      .all(`SELECT * FROM jobs ${where} ORDER BY sequence DESC LIMIT ?`, values)
      .map((row) => this.#jobOf(row));
  }

  /** Takes the next waiting job of a kind and marks it running. */
  take(kind: JobKind): Job | undefined {
    const row = this.#db.get(
      "SELECT id FROM jobs WHERE state = 'queued' AND kind = ? ORDER BY sequence LIMIT 1",
      [kind],
    );
    if (!row) return undefined;
    const id = String(row["id"]);
    this.#db.run("UPDATE jobs SET state = 'running', startedAt = ?, attempts = attempts + 1 WHERE id = ?", [
      now(),
      id,
    ]);
    return this.get(id);
  }

  /** How many wait in front of a job; null where it does not wait. */
  position(job: Job): number | null {
    if (job.state !== "queued") return null;
    const row = this.#db.get(
      "SELECT COUNT(*) AS count FROM jobs WHERE state = 'queued' AND kind = ? AND sequence < ?",
      [job.kind, job.sequence],
    );
    return Number(row?.["count"] ?? 0);
  }

  /** Puts a running job back into the queue, in its old place. */
  requeue(id: string): void {
    this.#progress.delete(id);
    this.#db.run("UPDATE jobs SET state = 'queued', startedAt = NULL WHERE id = ? AND state = 'running'", [
      id,
    ]);
  }

  /** Ends a job that has not ended. @returns whether it did */
  finish(
    id: string,
    state: "done" | "failed" | "cancelled",
    end: { readonly result?: unknown; readonly error?: ErrorBody } = {},
  ): boolean {
    this.#progress.delete(id);
    const { changes } = this.#db.run(
      "UPDATE jobs SET state = ?, finishedAt = ?, result = ?, error = ? WHERE id = ? AND state IN ('queued', 'running')",
      [
        state,
        now(),
        end.result === undefined ? null : JSON.stringify(end.result),
        end.error === undefined ? null : JSON.stringify(end.error),
        id,
      ],
    );
    return changes > 0;
  }

  /** How far a running job is. */
  setProgress(id: string, progress: Progress): void {
    this.#progress.set(id, progress);
  }

  /** Forgets a job. */
  remove(id: string): void {
    this.#progress.delete(id);
    this.#db.run("DELETE FROM jobs WHERE id = ?", [id]);
  }

  /** Jobs by kind and state. */
  counts(): readonly { readonly kind: string; readonly state: string; readonly count: number }[] {
    return this.#db
      .all("SELECT kind, state, COUNT(*) AS count FROM jobs GROUP BY kind, state")
      .map((row) => ({
        kind: String(row["kind"]),
        state: String(row["state"]),
        count: Number(row["count"]),
      }));
  }

  /** Unfinished jobs of a client. */
  unfinished(client: string): number {
    const row = this.#db.get(
      "SELECT COUNT(*) AS count FROM jobs WHERE client = ? AND state IN ('queued', 'running')",
      [client],
    );
    return Number(row?.["count"] ?? 0);
  }

  addUpload(id: string, facts: unknown): void {
    this.#db.run("INSERT INTO uploads (id, facts) VALUES (?, ?)", [id, JSON.stringify(facts)]);
  }

  getUpload(id: string): unknown {
    const row = this.#db.get("SELECT facts FROM uploads WHERE id = ?", [id]);
    return row ? JSON.parse(String(row["facts"])) : undefined;
  }

  listUploads(limit: number): unknown[] {
    return this.#db
      .all("SELECT facts FROM uploads ORDER BY sequence DESC LIMIT ?", [limit])
      .map((row) => JSON.parse(String(row["facts"])) as unknown);
  }

  removeUpload(id: string): void {
    this.#db.run("DELETE FROM uploads WHERE id = ?", [id]);
  }

  /** Closes the file. */
  close(): void {
    if (this.#db.isOpen) this.#db.close();
    rmSync(this.#ownerFile, { force: true });
  }

  #jobOf(row: Record<string, unknown>): Job {
    const text = (name: string): string | null => (row[name] === null ? null : String(row[name]));
    const json = (name: string): unknown => (row[name] === null ? null : JSON.parse(String(row[name])));
    const id = String(row["id"]);
    return {
      id,
      sequence: Number(row["sequence"]),
      kind: String(row["kind"]) as JobKind,
      state: String(row["state"]) as JobState,
      createdAt: String(row["createdAt"]),
      startedAt: text("startedAt"),
      finishedAt: text("finishedAt"),
      client: String(row["client"]),
      group: text("groupName"),
      parent: text("parent"),
      attempts: Number(row["attempts"]),
      progress: this.#progress.get(id) ?? null,
      request: json("request"),
      result: json("result"),
      error: json("error") as ErrorBody | null,
    };
  }
}

const TOO_OFTEN: ErrorBody = {
  code: "VANS_SERVE_JOB_LOST",
  message: "the server ended several times while it worked on this",
  fix: "look into the server's log; ask again with fewer steps or a shorter clip",
};

function now(): string {
  return new Date().toISOString();
}

function isAlive(pid: number): boolean {
  if (!Number.isInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
