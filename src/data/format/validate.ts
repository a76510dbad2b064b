/**
 * Checks everything that training relies on: the table, every text, every clip, and what no sample may share between
 * training and evaluation.
 * @module
 */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { isAbsolute, join } from "node:path";
import { throwIfAborted } from "../../base/abort.ts";
import { isVansError, VansError } from "../../base/errors.ts";
import { probe, readClip } from "../../media/decode.ts";
import type { MediaInfo } from "../../media/media-info.ts";
import { ANSWER_TAGS } from "../../text/answer-template.ts";
import { EVALUATION_SEED_START } from "../../world/index.ts";
import { findLeaks } from "../review/leakage.ts";
import { readRows } from "./manifest-file.ts";
import { readOverrides } from "./overrides.ts";
import type { SampleRow } from "./sample-row.ts";
import { isBrokenText, isSpreadsheetError } from "./text-faults.ts";

/** A fault makes training wrong or impossible; a warning is worth a look. */
export interface Finding {
  readonly severity: "fault" | "warning";
  /** Stable name of the check. */
  readonly check: string;
  /** The sample, or the file. */
  readonly item: string;
  readonly message: string;
}

/** Progress and findings. */
export type ValidateEvent =
  | ({ readonly type: "finding" } & Finding)
  | { readonly type: "progress"; readonly rows: number }
  | { readonly type: "done"; readonly rows: number; readonly faults: number; readonly warnings: number };

/** Options of {@link validate}. */
export interface ValidateOptions {
  /** Decodes every clip whole, rather than opening it and decoding its first and last frame. Default false. */
  readonly deep?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Splits that training must not touch. */
const HELD_OUT = /^(evaluation|eval|test|testing|val|valid|validation)$/i;
/** Clips differ from their times by at most this: a frame at 8 Hz, and rounding. */
const TIME_SLACK_SECS = 0.15;
const LONGEST_TEXT = { question: 600, reasoning: 4000, caption: 800 } as const;

/**
 * Checks a dataset folder, row by row. Memory grows with the number of rows by a few hashes each.
 *
 * @throws VansError only where there is no table at all (`VANS_DATA_MANIFEST_NOT_FOUND`, `VANS_DATA_MANIFEST_INVALID`)
 */
export async function* validate(
  folder: string,
  options: ValidateOptions = {},
): AsyncGenerator<ValidateEvent> {
  let [rows, faults, warnings] = [0, 0, 0];
  const found: Finding[] = [];
  const fault = (check: string, item: string, message: string): void => {
    found.push({ severity: "fault", check, item, message });
  };
  const warn = (check: string, item: string, message: string): void => {
    found.push({ severity: "warning", check, item, message });
  };
  function* flush(): Generator<ValidateEvent> {
    for (const finding of found.splice(0)) {
      if (finding.severity === "fault") faults++;
      else warnings++;
      yield { type: "finding", ...finding };
    }
  }
  const whole = new WholeChecks(fault, warn);
  const clips = new ClipChecks(folder, options, fault);
  for await (const read of readRows(folder)) {
    throwIfAborted(options.signal);
    rows++;
    if (read.row === undefined) fault("row", read.id, read.fault);
    else {
      checkTexts(read.row, fault, warn);
      checkTimes(read.row, fault);
      checkWorld(read.row, fault);
      await clips.check(read.row);
      whole.check(read.row, clips);
    }
    yield* flush();
    if (rows % 100 === 0) yield { type: "progress", rows };
  }
  if (rows === 0) fault("empty", folder, "the table has no rows");
  await checkOverrides(folder, whole.ids, fault, warn);
  await clips.checkUnused(warn);
  yield* flush();
  yield { type: "done", rows, faults, warnings };
}

type Report = (check: string, item: string, message: string) => void;

function checkTexts(row: SampleRow, fault: Report, warn: Report): void {
  for (const part of ["question", "reasoning", "caption"] as const) {
    const text = row[part];
    if (text.trim() === "") fault("text-empty", row.id, `${part} is empty`);
    else if (text !== text.trim()) warn("text-spaces", row.id, `${part} begins or ends with white space`);
    if (isSpreadsheetError(text)) fault("text-error", row.id, `${part} is a spreadsheet error`);
    if (isBrokenText(text)) fault("text-characters", row.id, `${part} has control or broken characters`);
    // In the training target these end the answer early.
    const tag = [...ANSWER_TAGS, "<|im_end|>", "<|im_start|>", "<|video_pad|>", "<|endoftext|>"].find((one) =>
      text.includes(one),
    );
    if (tag !== undefined)
      fault("text-tag", row.id, `${part} holds ${tag}, which the training format uses itself`);
    if (text.length > LONGEST_TEXT[part])
      warn("text-long", row.id, `${part} has ${text.length} characters; models cut at a fixed length`);
  }
  if (row.licence.trim() === "") fault("licence", row.id, "no licence");
  if (row.source.trim() === "") fault("source", row.id, "no source");
  const leaks = findLeaks({
    question: row.question,
    reasoning: row.reasoning,
    caption: row.caption,
    inputLabel: row.input_label,
    outputLabel: row.output_label,
    goal: row.goal,
    skippedSteps: row.skipped_steps,
  });
  for (const leak of leaks) fault("leakage", row.id, leak.reason);
  for (const [name, score] of Object.entries(row.scores))
    if (!Number.isFinite(score)) fault("score", row.id, `the score ${name} is no number`);
}

function checkTimes(row: SampleRow, fault: Report): void {
  for (const side of ["input", "output"] as const) {
    const [start, end] = [row[`${side}_start_secs`], row[`${side}_end_secs`]];
    if ((start === null) !== (end === null)) fault("times", row.id, `${side} has one time only`);
    if (start !== null && end !== null && end <= start)
      fault("times", row.id, `${side} ends before it starts`);
  }
  const { input_end_secs: before, output_start_secs: after, source } = row;
  if (before !== null && after !== null && source !== "vans-data" && after < before - TIME_SLACK_SECS)
    fault("times", row.id, "the output starts before the input ends: the input shows the answer");
  if (row.input === row.output) fault("clip-same", row.id, "input and output are the same clip");
}

function checkWorld(row: SampleRow, fault: Report): void {
  if (row.seed === null) return;
  const isEvaluation = row.seed >= EVALUATION_SEED_START;
  if (isEvaluation !== HELD_OUT.test(row.split))
    fault("world-split", row.id, `seed ${row.seed} does not belong to the split ${row.split}`);
  if (row.event !== null && row.wrong_events.some((wrong) => wrong.event === row.event))
    fault("world-event", row.id, `${row.event} is both the right event and a wrong one`);
}

/** Checks of clips; each file is opened once. */
class ClipChecks {
  readonly #folder: string;
  readonly #options: ValidateOptions;
  readonly #fault: Report;
  readonly #known = new Map<string, { info: MediaInfo | undefined; hash: string }>();

  constructor(folder: string, options: ValidateOptions, fault: Report) {
    this.#folder = folder;
    this.#options = options;
    this.#fault = fault;
  }

  /** Content of a clip that was checked. */
  hashOf(path: string): string | undefined {
    return this.#known.get(path)?.hash;
  }

  async check(row: SampleRow): Promise<void> {
    for (const side of ["input", "output"] as const) {
      const path = row[side];
      if (path === "" || isAbsolute(path) || path.includes("\\") || path.split("/").includes("..")) {
        this.#fault("clip-path", row.id, `${side} is not a path inside the folder: ${path}`);
        continue;
      }
      let known = this.#known.get(path);
      if (known === undefined) {
        known = await this.#open(row, side, path);
        this.#known.set(path, known);
      }
      const { info } = known;
      if (info === undefined) continue;
      const [start, end] = [row[`${side}_start_secs`], row[`${side}_end_secs`]];
      if (start !== null && end !== null && Math.abs(end - start - info.durationSecs) > TIME_SLACK_SECS) {
        const asked = (end - start).toFixed(2);
        this.#fault(
          "clip-times",
          row.id,
          `${side} lasts ${info.durationSecs.toFixed(2)} s, its times say ${asked} s`,
        );
      }
      if (side === "output" && info.frameCount < 2)
        this.#fault("clip-still", row.id, "the output is a still picture: nothing happens in it");
    }
  }

  async #open(
    row: SampleRow,
    side: string,
    path: string,
  ): Promise<{ info: MediaInfo | undefined; hash: string }> {
    const whole = join(this.#folder, path);
    const common = this.#options.signal === undefined ? {} : { signal: this.#options.signal };
    try {
      const info = await probe(whole, common);
      if (this.#options.deep) {
        const window = Math.max(1, Math.floor((64 * 2 ** 20) / (info.width * info.height * 3)));
        const secs = window / Math.max(1, info.frameRateHz);
        let lost = 0;
        for (let at = 0; at === 0 || at < info.durationSecs - 1e-3; at += secs) {
          const part = info.durationSecs > 0 ? { startSecs: at, endSecs: at + secs } : {};
          lost += (await readClip(whole, { ...part, chroma: "repeat", ...common })).lostFrames;
        }
        if (lost > 0)
          this.#fault("clip-damaged", row.id, `${side} ${path}: ${lost} frames cannot be decoded`);
      } else {
        const last = Math.max(0, info.durationSecs - 0.5 / info.frameRateHz);
        const clip = await readClip(whole, { timesSecs: [0, last], chroma: "repeat", ...common });
        if (clip.lostFrames > 0)
          this.#fault("clip-damaged", row.id, `${side} ${path}: its ends cannot be decoded`);
      }
      return { info, hash: await hashOfFile(whole) };
    } catch (error) {
      throwIfAborted(this.#options.signal);
      if (!isVansError(error)) throw error;
      const check = error.code === "VANS_MEDIA_NOT_FOUND" ? "clip-missing" : "clip-unreadable";
      this.#fault(check, row.id, `${side} ${path}: ${error.message.split("\n")[0]} (${error.code})`);
      return { info: undefined, hash: "" };
    }
  }

  /** Clips that no row names. */
  async checkUnused(warn: Report): Promise<void> {
    const names = await readdir(join(this.#folder, "clips")).catch(() => []);
    const unused = names.filter((name) => !this.#known.has(`clips/${name}`));
    if (unused.length > 0)
      warn("clips-unused", this.#folder, `${unused.length} clips belong to no row, for example ${unused[0]}`);
  }
}

async function hashOfFile(path: string): Promise<string> {
  const { size } = await stat(path);
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  return `${size}-${hash.digest("hex").slice(0, 24)}`;
}

/** Checks across rows. */
class WholeChecks {
  readonly ids = new Set<string>();
  readonly #questions = new Map<string, string>();
  readonly #videoSplit = new Map<string, boolean>();
  readonly #clipSplit = new Map<string, { isHeldOut: boolean; id: string }>();
  readonly #fault: Report;
  readonly #warn: Report;

  constructor(fault: Report, warn: Report) {
    this.#fault = fault;
    this.#warn = warn;
  }

  check(row: SampleRow, clips: ClipChecks): void {
    if (this.ids.has(row.id)) this.#fault("id-twice", row.id, "the id occurs twice");
    this.ids.add(row.id);
    const isHeldOut = HELD_OUT.test(row.split);
    if (row.video !== null) {
      const before = this.#videoSplit.get(row.video);
      if (before !== undefined && before !== isHeldOut)
        this.#fault("split-video", row.id, `the video ${row.video} is in training and in evaluation`);
      this.#videoSplit.set(row.video, isHeldOut);
    }
    for (const path of [row.input, row.output]) {
      const hash = clips.hashOf(path);
      if (!hash) continue;
      const before = this.#clipSplit.get(hash);
      if (before !== undefined && before.isHeldOut !== isHeldOut)
        this.#fault(
          "split-clip",
          row.id,
          `${path} has the same content as a clip of ${before.id} in another split`,
        );
      else this.#clipSplit.set(hash, { isHeldOut, id: row.id });
    }
    const inputHash = clips.hashOf(row.input);
    if (inputHash && inputHash === clips.hashOf(row.output) && row.input !== row.output)
      this.#fault("clip-same", row.id, "input and output have the same content");
    const key = createHash("sha256")
      .update(`${inputHash ?? row.input}\n${row.question.toLowerCase()}`)
      .digest("base64")
      .slice(0, 16);
    const twin = this.#questions.get(key);
    if (twin !== undefined)
      this.#warn("question-twice", row.id, `asks the same about the same clip as ${twin}`);
    this.#questions.set(key, row.id);
  }
}

async function checkOverrides(
  folder: string,
  ids: ReadonlySet<string>,
  fault: Report,
  warn: Report,
): Promise<void> {
  try {
    for (const [id, { rejected }] of await readOverrides(folder))
      if (ids.has(id) && rejected)
        warn("override-open", id, "rejected by hand, but still in the table; vans data apply takes it out");
  } catch (error) {
    if (!(error instanceof VansError)) throw error;
    fault("overrides", folder, error.message.split("\n").slice(0, 2).join(" "));
  }
}
