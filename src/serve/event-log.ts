/**
 * What jobs tell while they run, numbered, kept on disk and told to whoever listens; a listener that comes back gets what it
 * missed.
 * @module
 */
import { appendFile, mkdir, readFile, truncate } from "node:fs/promises";
import { dirname } from "node:path";

/** One event. */
export interface LoggedEvent {
  /** From 1 on, without gaps. */
  readonly id: number;
  readonly name: string;
  readonly data: unknown;
}

type Listener = (event: LoggedEvent) => void;

/** Jobs whose events stay in memory after they have ended. */
const KEPT_JOBS = 64;

/** The events of all jobs. */
export class EventLog {
  readonly #pathOf: (job: string) => string;
  readonly #events = new Map<string, LoggedEvent[]>();
  readonly #listeners = new Map<string, Set<Listener>>();
  /** Writes of a job, one after the other. */
  readonly #writes = new Map<string, Promise<void>>();

  constructor(pathOf: (job: string) => string) {
    this.#pathOf = pathOf;
  }

  /** Adds an event. */
  async add(job: string, name: string, data: unknown): Promise<void> {
    const events = await this.#load(job);
    const event: LoggedEvent = { id: events.length + 1, name, data };
    events.push(event);
    for (const listener of this.#listeners.get(job) ?? []) listener(event);
    const path = this.#pathOf(job);
    const line = `${JSON.stringify(event)}\n`;
    const before = this.#writes.get(job) ?? mkdir(dirname(path), { recursive: true }).then(() => undefined);
    // A full disk ends the job where it writes its results; here it only costs the replay.
    const write = before.then(() => appendFile(path, line)).catch(() => undefined);
    this.#writes.set(job, write);
  }

  /** The last event of a job. */
  async last(job: string): Promise<LoggedEvent | undefined> {
    return (await this.#load(job)).at(-1);
  }

  /** Calls with every event after `after`, old ones first, until it is told to stop. */
  async follow(job: string, after: number, listener: Listener): Promise<() => void> {
    const events = await this.#load(job);
    // An id from before a crash that took the last events with it: all over again.
    const from = after > events.length ? 0 : after;
    for (const event of events) if (event.id > from) listener(event);
    const listeners = this.#listeners.get(job) ?? new Set();
    this.#listeners.set(job, listeners);
    listeners.add(listener);
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0) this.#listeners.delete(job);
    };
  }

  /** Forgets a job's events in memory. */
  forget(job: string): void {
    this.#events.delete(job);
    this.#writes.delete(job);
  }

  /** A job tells no more; waits until all of it is written. */
  async end(job: string): Promise<void> {
    await this.#writes.get(job);
    this.#writes.delete(job);
  }

  /** Waits until everything is written. */
  async flush(): Promise<void> {
    await Promise.all(this.#writes.values());
  }

  async #load(job: string): Promise<LoggedEvent[]> {
    const known = this.#events.get(job);
    if (known) return known;
    const path = this.#pathOf(job);
    const bytes = await readFile(path).catch(() => Buffer.alloc(0));
    // A killed server leaves half a line: what is added next must not continue it.
    const whole = bytes.lastIndexOf("\n") + 1;
    if (whole < bytes.length) await truncate(path, whole).catch(() => undefined);
    const again = this.#events.get(job);
    if (again) return again;
    const text = bytes.subarray(0, whole).toString("utf8");
    const events: LoggedEvent[] = [];
    for (const line of text.split("\n")) {
      const event = parsed(line);
      if (event && event.id === events.length + 1) events.push(event);
    }
    this.#events.set(job, events);
    for (const old of this.#events.keys()) {
      if (this.#events.size <= KEPT_JOBS) break;
      if (old !== job && !this.#listeners.has(old) && !this.#writes.has(old)) this.#events.delete(old);
    }
    return events;
  }
}

/** A line; undefined for one that cannot be read. */
function parsed(line: string): LoggedEvent | undefined {
  if (line === "") return undefined;
  try {
    return JSON.parse(line) as LoggedEvent;
  } catch {
    return undefined;
  }
}
