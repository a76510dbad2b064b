/**
 * A few threads that look into uploads, and those who wait for one.
 * @module
 */
import type { MediaInfo } from "../media/index.ts";
import type { ClipTask } from "./clip-thread.ts";
import { TaskThread } from "./task-thread.ts";

/** Threads; each starts when it is first needed. */
const MOST_THREADS = 2;
/** Seconds without a sign of life from a decoder. */
const SILENCE_SECS = 20;
/** Seconds after which a thread is ended. On a busy machine starting a thread alone takes seconds. */
const LIMIT_SECS = 60;

/** Looks into files. */
export class ClipThreads {
  readonly #free: TaskThread<ClipTask, never, MediaInfo | undefined>[];
  readonly #waiting: (() => void)[] = [];

  constructor() {
    this.#free = Array.from({ length: MOST_THREADS }, () => new TaskThread("clip-thread"));
  }

  /** What a file is. @throws `VANS_MEDIA_…`, `VANS_SERVE_TIMEOUT` */
  async probe(path: string): Promise<MediaInfo> {
    const info = await this.#run({ kind: "probe", path, silenceSecs: SILENCE_SECS });
    return info!;
  }

  /** Writes the first frame of a file as a picture. @throws likewise */
  async writePoster(path: string, poster: string, maxBytes: number): Promise<void> {
    await this.#run({ kind: "poster", path, poster, maxBytes });
  }

  /** Ends the threads. */
  async close(): Promise<void> {
    await Promise.all(this.#free.map((thread) => thread.close()));
  }

  async #run(task: ClipTask): Promise<MediaInfo | undefined> {
    while (this.#free.length === 0) await new Promise<void>((done) => this.#waiting.push(done));
    const thread = this.#free.pop()!;
    try {
      return await thread.run(task, { limitSecs: LIMIT_SECS });
    } finally {
      this.#free.push(thread);
      this.#waiting.shift()?.();
    }
  }
}
