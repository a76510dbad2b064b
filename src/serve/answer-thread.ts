/**
 * The thread in which answers are made and their files written: one suite open at a time, everything heavy in here.
 * @module
 */
import { mkdir } from "node:fs/promises";
import { basename, join } from "node:path";
import {
  type AnswerEvent,
  type Answerer,
  type AnswerReport,
  inputTimes,
  openAnswerer,
  writeAnswer,
} from "../answer/index.ts";
import { type Clip, clipOf, frameOf, probe, type RgbImage, readClip, writeMp4 } from "../media/index.ts";
import { type AnswerSystem, answererFor } from "./answer-systems.ts";
import type { AnswerResult, AnswerTask, AnswerTold } from "./answer-task.ts";
import { stripOf } from "./preview-strip.ts";
import { breathe, serveTasks, type TaskTools } from "./serve-tasks.ts";

type Tools = TaskTools<AnswerTold>;

/** Frames of a source are held for so many bytes at a time. */
const SOURCE_BYTES = 128 * 2 ** 20;

/** The open suite and its ways to answer. */
let open:
  | { readonly suite: string; readonly own: Promise<Answerer>; readonly ways: Map<AnswerSystem, Answerer> }
  | undefined;

serveTasks<AnswerTask, AnswerTold, AnswerResult>(async (task, tools) => {
  await mkdir(task.folder, { recursive: true });
  const answerer = await answererOf(task);
  const { path, trim, question, seed, steps, guidanceScale, samples } = task;
  const clip = trim ? await trimmed(path, trim, answerer, tools.signal) : path;
  const asked = { clip, question, seed, steps, guidanceScale, samples, preview: "linear" as const };
  for await (const event of answerer.answer({ ...asked, signal: tools.signal })) {
    await tell(task, event, tools);
    if (event.type === "done") return write(task, event.report, tools.signal);
    await breathe();
  }
  throw new Error("the stream of an answer ended without a report");
});

async function answererOf({ suite, system }: AnswerTask): Promise<Answerer> {
  if (open?.suite !== suite) {
    const before = open;
    open = undefined;
    await before?.own.then((own) => own.release()).catch(() => undefined);
    open = { suite, own: openAnswerer(suite, { threads: 1 }), ways: new Map() };
    const mine = open;
    // A suite that could not be opened is tried anew by the next answer.
    mine.own.catch(() => {
      if (open === mine) open = undefined;
    });
  }
  const own = await open.own;
  const answerer = open.ways.get(system) ?? answererFor(system, own);
  open.ways.set(system, answerer);
  return answerer;
}

/** What of an event clients are told; frames and reports stay here. */
async function tell(task: AnswerTask, event: AnswerEvent, { tell }: Tools): Promise<void> {
  const progress = (stage: string, done: number, total: number) => ({
    stage,
    done,
    total,
    fraction: Math.min(1, done / total),
  });
  switch (event.type) {
    case "loaded":
      return tell({ progress: progress("load", 0, 1), event: { name: "loaded", data: event } });
    case "input": {
      const { durationSecs, width, height, isStill } = event.input;
      await writeMp4(join(task.folder, "input.mp4"), event.input.frames);
      const url = `${task.url}/input.mp4`;
      const data = { type: "input", durationSecs, width, height, isStill, url };
      return tell({ progress: progress("write", 0, 1), event: { name: "input", data } });
    }
    case "step": {
      const { preview, ...rest } = event;
      const data = { ...rest, ...(preview && { preview: await stripOf(preview) }) };
      const done = event.sample * event.steps + event.step;
      return tell({
        progress: progress("denoise", done, task.samples * event.steps),
        event: { name: "step", data },
      });
    }
    case "frames":
      return tell({ event: { name: "frames", data: { type: "frames", sample: event.sample } } });
    case "done":
      return;
    default:
      return tell({ event: { name: event.type, data: event } });
  }
}

async function write(task: AnswerTask, given: AnswerReport, signal: AbortSignal): Promise<AnswerResult> {
  const report = task.system === "suite" ? given : markedReport(given, task.system);
  const files = await writeAnswer(report, task.folder, { signal });
  const url = (file: string): string => `${task.url}/${basename(file)}`;
  const first = report.samples[0]!;
  return {
    reasoning: first.reasoning,
    caption: first.caption,
    samples: report.samples.map(({ reasoning, caption }, index) => ({
      reasoning,
      caption,
      video: url(files.videos[index]!),
      sheet: url(files.sheets[index]!),
    })),
    warnings: report.warnings.map(({ code, message, fix }) => ({
      code,
      message,
      ...(fix !== undefined && { fix }),
    })),
    timingsSecs: { ...report.timingsSecs },
    settings: { ...report.settings },
    suite: given.suite.name,
    frameRateHz: first.clip.frameRateHz,
    frameCount: first.clip.frameCount,
    width: first.clip.width,
    height: first.clip.height,
    files: {
      answer: files.videos.map(url),
      sheet: url(files.sheets[0]!),
      json: url(files.json),
      input: `${task.url}/input.mp4`,
    },
  };
}

/** The file says that no suite answers like this, so that `vans again` does not take it for the suite's answer. */
function markedReport(report: AnswerReport, system: AnswerSystem): AnswerReport {
  const { name, folder } = report.suite;
  return {
    ...report,
    suite: { ...report.suite, name: `${name} (${system})`, folder: `${folder}#${system}` },
  };
}

/**
 * The frames of some seconds of a clip, at the times that the suite looks at. Where the seconds are more than it takes in,
 * their rate says so, and it warns as for a whole clip.
 */
async function trimmed(
  path: string,
  { startSecs, endSecs }: { readonly startSecs: number; readonly endSecs: number },
  answerer: Answerer,
  signal: AbortSignal,
): Promise<Clip | string> {
  const info = await probe(path, { signal });
  if (info.frameCount <= 1) return path;
  const frameSecs = 1 / info.frameRateHz;
  const from = Math.min(startSecs, Math.max(0, info.durationSecs - frameSecs));
  const durationSecs = Math.max(frameSecs, Math.min(endSecs, info.durationSecs) - from);
  const frameCount = Math.max(2, Math.round(durationSecs * info.frameRateHz));
  const settings = answerer.suite.manifest.answer;
  const { timesSecs, speed } = inputTimes(
    { frameCount, frameRateHz: info.frameRateHz, durationSecs },
    settings,
  );
  const last = from + durationSecs - frameSecs;
  const wanted = timesSecs.map((secs) => Math.min(last, from + secs)).map((secs) => Math.max(0, secs));
  const frames: RgbImage[] = [];
  const step = Math.max(1, Math.floor(SOURCE_BYTES / (info.height * info.width * 3)));
  for (let at = 0; at < wanted.length; at += step) {
    const part = await readClip(path, { timesSecs: wanted.slice(at, at + step), signal });
    for (let i = 0; i < part.frameCount; i++) frames.push(frameOf(part, i));
  }
  return clipOf(frames, speed > 1 ? frames.length / durationSecs : settings.frameRateHz);
}
