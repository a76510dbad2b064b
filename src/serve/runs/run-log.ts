/**
 * Reads `log.jsonl` of a run as it grows: only what is new is read, and a run that was taken up again at an earlier step is
 * noticed.
 * @module
 */
import { open, stat } from "node:fs/promises";

/** One line: numbers of a step by name. */
export interface LogLine {
  readonly step: number;
  readonly values: Readonly<Record<string, number>>;
}

/** Steps and values of one scalar. */
export interface Series {
  readonly steps: readonly number[];
  readonly values: readonly number[];
}

/** Bytes of the end of what was read that are compared, to notice that the file was written anew. */
const TAIL_BYTES = 256;

/** A log that is read again and again. */
export class RunLog {
  readonly #path: string;
  #lines: LogLine[] = [];
  #bytesRead = 0;
  #tail = Buffer.alloc(0);
  /** Goes up whenever the file was written anew, so that readers know that their lines no longer count. */
  #generation = 0;
  #reading: Promise<void> = Promise.resolve();

  constructor(path: string) {
    this.#path = path;
  }

  /** All whole lines up to now. A missing file has none. */
  async read(): Promise<{ readonly lines: readonly LogLine[]; readonly generation: number }> {
    const mine = this.#reading.then(() => this.#more());
    this.#reading = mine.catch(() => undefined);
    await mine;
    return { lines: this.#lines, generation: this.#generation };
  }

  async #more(): Promise<void> {
    const size = await stat(this.#path).then(
      (found) => found.size,
      () => 0,
    );
    if (size === 0) return this.#forget();
    const file = await open(this.#path, "r").catch(() => undefined);
    if (!file) return this.#forget();
    try {
      const tail = Buffer.alloc(this.#tail.length);
      if (size >= this.#bytesRead) await file.read(tail, 0, tail.length, this.#bytesRead - tail.length);
      if (size < this.#bytesRead || !tail.equals(this.#tail)) this.#forget();
      const fresh = Buffer.alloc(size - this.#bytesRead);
      const { bytesRead } = await file.read(fresh, 0, fresh.length, this.#bytesRead);
      const whole = fresh.subarray(0, bytesRead).lastIndexOf("\n") + 1;
      if (whole === 0) return;
      const text = fresh.subarray(0, whole);
      for (const line of text.toString("utf8").split("\n")) {
        const parsed = parseLine(line);
        if (parsed) this.#lines.push(parsed);
      }
      this.#bytesRead += whole;
      this.#tail = Buffer.from(Buffer.concat([this.#tail, text]).subarray(-TAIL_BYTES));
    } finally {
      await file.close();
    }
  }

  #forget(): void {
    if (this.#bytesRead > 0) this.#generation++;
    this.#lines = [];
    this.#bytesRead = 0;
    this.#tail = Buffer.alloc(0);
  }
}

/** A line of a log; undefined for one that cannot be read. Values that are not finite are left out. */
export function parseLine(line: string): LogLine | undefined {
  if (line.trim() === "") return undefined;
  try {
    const { step, ...rest } = JSON.parse(line) as Record<string, unknown>;
    if (typeof step !== "number" || !Number.isFinite(step)) return undefined;
    const values = Object.fromEntries(
      Object.entries(rest).filter((entry): entry is [string, number] => Number.isFinite(entry[1])),
    );
    return { step, values };
  } catch {
    return undefined;
  }
}

/** Lines as one series a scalar, after a step; names in the order in which they first appear. */
export function seriesOf(lines: readonly LogLine[], afterStep = -1): Record<string, Series> {
  const series: Record<string, { steps: number[]; values: number[] }> = Object.create(null) as Record<
    string,
    { steps: number[]; values: number[] }
  >;
  for (const { step, values } of lines) {
    if (step <= afterStep) continue;
    for (const [name, value] of Object.entries(values)) {
      series[name] ??= { steps: [], values: [] };
      series[name].steps.push(step);
      series[name].values.push(value);
    }
  }
  return { ...series };
}
