/**
 * An answer's events as a person or a program follows them.
 * @module
 */
import { basename } from "node:path";
import type { SingleBar } from "cli-progress";
import type { AnswerEvent, AnswerFiles, AnswerReport, AnswerWarning } from "../answer/index.ts";

/** Follows answers. */
export interface AnswerProgress {
  show(event: AnswerEvent): void;
  /** The files are written. */
  written(report: AnswerReport, files: AnswerFiles, extra?: Readonly<Record<string, unknown>>): void;
  /** Leaves the terminal in order; also after errors. */
  end(): void;
}

/** What is followed how. */
export interface ProgressOptions {
  readonly isJson: boolean;
  /** Default: whether the error output is a terminal. */
  readonly isTerminal?: boolean;
}

/** Progress that fits the output: NDJSON, a live terminal, or plain lines. */
export async function answerProgress(options: ProgressOptions): Promise<AnswerProgress> {
  if (options.isJson) return new JsonProgress();
  const isTerminal = options.isTerminal ?? (process.stderr.isTTY === true && process.env["TERM"] !== "dumb");
  if (!isTerminal) return new LineProgress();
  const { default: progress } = await import("cli-progress");
  const bar = new progress.SingleBar({
    format: "{what} [{bar}] {value}/{total} steps, {left} left",
    barCompleteChar: "█",
    barIncompleteChar: "░",
    barsize: 32,
    hideCursor: true,
    clearOnComplete: true,
    stream: process.stderr,
    gracefulExit: false,
  });
  return new TerminalProgress(bar);
}

const seconds = (secs: number): string => `${secs.toFixed(1)} s`;

/** One JSON object a line on the standard output; frames are told by their numbers only. */
class JsonProgress implements AnswerProgress {
  show(event: AnswerEvent): void {
    if (event.type !== "done") console.log(JSON.stringify(eventJson(event)));
  }

  written(report: AnswerReport, files: AnswerFiles, extra: Readonly<Record<string, unknown>> = {}): void {
    const { timingsSecs, samples } = report;
    const captions = samples.map(({ caption }) => caption);
    console.log(JSON.stringify({ type: "done", ...files, captions, timings: timingsSecs, ...extra }));
  }

  end(): void {}
}

/** An event without its pixels. */
export function eventJson(event: Exclude<AnswerEvent, { readonly type: "done" }>): object {
  if (event.type === "input") {
    const { frames, ...input } = event.input;
    return { type: "input", ...input, frames: frames.frameCount };
  }
  if (event.type === "warning") return { type: "warning", ...event.warning };
  if (event.type === "step") {
    const { preview: _, ...step } = event;
    return step;
  }
  if (event.type === "frames") {
    const { frameCount, height, width, frameRateHz } = event.clip;
    return { type: "frames", sample: event.sample, frameCount, height, width, frameRateHz };
  }
  return event;
}

const inputLine = (input: AnswerReport["input"]): string => {
  const name = input.path === undefined ? "frames from memory" : basename(input.path);
  const length = input.isStill ? "a still image" : `${input.durationSecs.toFixed(2)} s`;
  return `Input: ${name}, ${input.width}x${input.height}, ${length}`;
};

const warningLines = (warning: AnswerWarning): string =>
  `Warning ${warning.code}: ${warning.message}${warning.fix === undefined ? "" : `\n  fix: ${warning.fix}`}`;

const many = (report: AnswerReport): boolean => report.samples.length > 1;

function summary(report: AnswerReport, files: AnswerFiles): string {
  const lines = files.videos.map((video, index) => {
    const future = many(report) ? `Future ${index + 1}: ${report.samples[index]!.caption}\n  ` : "";
    return `${future}${video}\n  ${files.sheets[index]}`;
  });
  if (files.picked) lines.push(`Picked:\n${files.picked.video}\n  ${files.picked.sheet}`);
  return [...lines, `  ${files.json}`, `Answered in ${seconds(report.timingsSecs.total)}.`].join("\n");
}

/** Lines for logs and pipes: what is done goes to the error output, the result to the standard output. */
class LineProgress implements AnswerProgress {
  show(event: AnswerEvent): void {
    const line = this.#lineOf(event);
    if (line !== undefined) console.error(line);
  }

  #lineOf(event: AnswerEvent): string | undefined {
    switch (event.type) {
      case "loaded":
        return `Suite: ${event.suite} ${event.version} on ${event.device}`;
      case "input":
        return inputLine(event.input);
      case "warning":
        return warningLines(event.warning);
      case "caption":
        return `Reasoning: ${event.reasoning}\nNext: ${event.caption}`;
      case "step": {
        // A line for every quarter.
        const quarter = (step: number): number => Math.floor((4 * step) / event.steps);
        const isNew = quarter(event.step) > quarter(event.step - 1);
        return isNew ? `Drawing: step ${event.step} of ${event.steps}` : undefined;
      }
      case "frames":
        return `Frames: ${event.clip.frameCount}`;
      default:
        return undefined;
    }
  }

  written(report: AnswerReport, files: AnswerFiles): void {
    console.log(summary(report, files));
  }

  end(): void {}
}

const BOLD = "\u001b[1m";
const DIM = "\u001b[2m";
const YELLOW = "\u001b[33m";
const PLAIN = "\u001b[0m";
const LABELS: Readonly<Record<string, string>> = { reasoning: "Reasoning", caption: "Next" };

/** A live terminal: text as it is written, a bar while the video is drawn. */
class TerminalProgress implements AnswerProgress {
  readonly #bar: SingleBar;
  #barStarted: number | undefined;
  #part: string | undefined;

  constructor(bar: SingleBar) {
    this.#bar = bar;
  }

  show(event: AnswerEvent): void {
    switch (event.type) {
      case "loaded":
        this.#line(`${DIM}Suite: ${event.suite} ${event.version} on ${event.device}${PLAIN}`);
        break;
      case "input":
        this.#line(`${DIM}${inputLine(event.input)}${PLAIN}`);
        break;
      case "warning":
        this.#line(`${YELLOW}${warningLines(event.warning)}${PLAIN}`);
        break;
      case "token":
        this.#text(event.part, event.text);
        break;
      case "caption":
        this.#endText();
        break;
      case "step":
        this.#step(event);
        break;
      case "frames":
        this.#endBar();
        break;
      case "done":
        break;
    }
  }

  written(report: AnswerReport, files: AnswerFiles): void {
    this.end();
    console.log(summary(report, files));
  }

  end(): void {
    this.#endText();
    this.#endBar();
  }

  #line(text: string): void {
    this.end();
    process.stderr.write(`${text}\n`);
  }

  #text(part: string, text: string): void {
    const label = LABELS[part];
    if (label === undefined) return;
    if (this.#part !== part) {
      this.#endText();
      process.stderr.write(`${BOLD}${label}:${PLAIN} `);
      this.#part = part;
    }
    process.stderr.write(text);
  }

  #endText(): void {
    if (this.#part !== undefined) process.stderr.write("\n");
    this.#part = undefined;
  }

  #step(event: Extract<AnswerEvent, { readonly type: "step" }>): void {
    const now = performance.now();
    if (this.#barStarted === undefined) {
      this.#barStarted = now;
      this.#bar.start(event.steps, event.step, { what: "Drawing", left: "…" });
      return;
    }
    const rest = ((now - this.#barStarted) / 1000 / Math.max(1, event.step - 1)) * (event.steps - event.step);
    this.#bar.update(event.step, { left: seconds(rest) });
  }

  #endBar(): void {
    if (this.#barStarted !== undefined) this.#bar.stop();
    this.#barStarted = undefined;
  }
}
