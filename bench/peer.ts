/**
 * A Python process with PyTorch that runs the same steps.
 * @module
 */
import { type ChildProcessWithoutNullStreams, spawn, spawnSync } from "node:child_process";
import { createInterface, type Interface } from "node:readline";
import { fileURLToPath } from "node:url";

/** A script of `peers/`. */
const scriptNamed = (name: string): string => fileURLToPath(new URL(`./peers/${name}`, import.meta.url));

/** Where a Python with torch is looked for. */
function candidates(): string[] {
  const named = process.env["VANS_PEER_PYTHON"];
  return [...(named ? [named] : []), "python3"];
}

/** The first Python that can import torch; undefined where there is none. */
export function findPeerPython(): string | undefined {
  return candidates().find(
    (python) => spawnSync(python, ["-c", "import torch"], { stdio: "ignore" }).status === 0,
  );
}

/** An answer of the peer; `error` where it could not do what was asked. */
export interface PeerAnswer {
  readonly torch?: string;
  readonly threads?: number;
  readonly parameters?: number;
  readonly ms?: number;
  /** Processor time of the step over all threads. */
  readonly cpuMs?: number;
  readonly loss?: number;
  readonly gflops?: number;
  /** Milliseconds by part of the work, and numbers to compare. */
  readonly parts?: Readonly<Record<string, number>>;
  readonly checks?: Readonly<Record<string, number>>;
  readonly error?: string;
}

/** The running peer: one request at a time, so that it never computes while we do. */
export class Peer {
  readonly python: string;
  private readonly child: ChildProcessWithoutNullStreams;
  private readonly lines: AsyncIterator<string>;
  private readonly reader: Interface;
  private complaints = "";

  constructor(python: string, threads: number, script = "engine.py") {
    this.python = python;
    const env = { ...process.env, OMP_NUM_THREADS: String(threads), VANS_PEER_THREADS: String(threads) };
    this.child = spawn(python, [scriptNamed(script)], { env });
    this.child.stderr.on("data", (text: Buffer) => {
      this.complaints = (this.complaints + text.toString()).slice(-2000);
    });
    this.reader = createInterface({ input: this.child.stdout });
    this.lines = this.reader[Symbol.asyncIterator]();
  }

  /** The next line of the peer; the first one says who it is. */
  async next(): Promise<PeerAnswer> {
    const { value, done } = await this.lines.next();
    if (done) throw new Error(`the peer ended: ${this.complaints.trim().split("\n").slice(-3).join(" | ")}`);
    return JSON.parse(value) as PeerAnswer;
  }

  async ask(request: Readonly<Record<string, unknown>>): Promise<PeerAnswer> {
    this.child.stdin.write(`${JSON.stringify(request)}\n`);
    return this.next();
  }

  close(): void {
    this.child.stdin.end();
    this.reader.close();
  }
}
