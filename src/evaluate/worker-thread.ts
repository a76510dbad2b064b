/**
 * The worker's side of `workers.ts`: opens a suite once and evaluates the samples it is given, one after the other.
 * @module
 */
import { join } from "node:path";
import { parentPort, workerData } from "node:worker_threads";
import { loadSuite } from "../answer/index.ts";
import { internalError } from "../base/errors.ts";
import { writePng } from "../media/index.ts";
import { sampleForSeed } from "../world/index.ts";
import { DrawingFiles } from "./drawings.ts";
import { evaluateParts } from "./evaluate-parts.ts";
import { openJudges } from "./judges.ts";
import { hasPicture, pictureName } from "./pictures.ts";
import { openSuiteModels, type SuiteModels } from "./suite-models.ts";
import {
  sentError,
  type WorkerCommand,
  type WorkerItem,
  type WorkerReply,
  type WorkerStart,
} from "./worker-protocol.ts";

if (!parentPort) throw internalError("worker-thread.ts is started as a worker only");
const port = parentPort;

const { suite, judges: judging, settings, device, threads, pictures, drawings } = workerData as WorkerStart;
const place = drawings === undefined ? undefined : new DrawingFiles(drawings);
const stop = new AbortController();
const send = (reply: WorkerReply): void => port.postMessage(reply);

interface Opened {
  readonly models: SuiteModels;
  readonly judges: Awaited<ReturnType<typeof openJudges>>;
}

async function open(): Promise<Opened> {
  const [models, judges] = await Promise.all([
    loadSuite(suite).then((loaded) => openSuiteModels(loaded, settings, { device, threads })),
    loadSuite(judging).then((loaded) => openJudges(loaded, { threads })),
  ]);
  return { models, judges };
}

async function evaluateItem({ models, judges }: Opened, { seed, ...rest }: WorkerItem): Promise<void> {
  const sample = sampleForSeed(seed);
  for await (const { outcome, clip } of evaluateParts(models, [{ sample, ...rest }], {
    signal: stop.signal,
    judges,
    drawings: place,
  })) {
    // Frames below each other are a clip's bytes as they are.
    if (clip && hasPicture(outcome.part, seed)) {
      const picture = { height: clip.height * clip.frameCount, width: clip.width, rgb: clip.rgb };
      await writePng(join(pictures, pictureName(outcome.id, outcome.part)), picture);
    }
    send({ kind: "outcome", outcome });
  }
}

const opened = open();
// A failure to open is told in reply to the first item.
opened.catch(() => undefined);
let busy: Promise<void> = Promise.resolve();

async function obey(command: Exclude<WorkerCommand, { readonly kind: "stop" }>): Promise<void> {
  try {
    if (command.kind === "item") {
      await evaluateItem(await opened, command.item);
      send({ kind: "done" });
    } else {
      const { models, judges } = await opened;
      await Promise.all([models.release(), judges.release()]);
    }
  } catch (error) {
    send({ kind: "error", error: sentError(error) });
  }
  if (command.kind === "close") port.close();
}

port.on("message", (command: WorkerCommand) => {
  if (command.kind === "stop") stop.abort();
  else busy = busy.then(() => obey(command));
});
