/**
 * The `ffmpeg` and `ffprobe` programs of the machine, where there are any: finding them and running them.
 * @module
 */
import { spawn } from "node:child_process";
import { constants } from "node:fs";
import { access } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { throwIfAborted } from "../base/abort.ts";
import { VansError } from "../base/errors.ts";
import { timedOut } from "./media-errors.ts";

/** Paths of the two programs. */
export interface FfmpegPrograms {
  readonly ffmpeg: string;
  readonly ffprobe: string;
}

/** Looks for both programs on the PATH. */
export async function findFfmpeg(): Promise<FfmpegPrograms | undefined> {
  const [ffmpeg, ffprobe] = await Promise.all([findProgram("ffmpeg"), findProgram("ffprobe")]);
  return ffmpeg === undefined || ffprobe === undefined ? undefined : { ffmpeg, ffprobe };
}

async function findProgram(name: string): Promise<string | undefined> {
  const file = process.platform === "win32" ? `${name}.exe` : name;
  for (const folder of (process.env["PATH"] ?? "").split(delimiter)) {
    if (folder === "") continue;
    const path = join(folder, file);
    try {
      await access(path, constants.X_OK);
      return path;
    } catch {
      // Not in this folder.
    }
  }
  return undefined;
}

/** Options of {@link runProgram}. */
export interface RunOptions {
  /** Seconds without output after which the program is stopped. */
  readonly silenceSecs: number;
  readonly signal?: AbortSignal | undefined;
  /** Called with every piece of standard output. */
  readonly onOutput: (chunk: Buffer) => void;
  /** Written to standard input. */
  readonly input?: Iterable<Uint8Array>;
}

/** How a program ended. */
export interface RunResult {
  readonly exitCode: number | null;
  /** All of standard error (its last 16 MiB). */
  readonly stderr: string;
}

const STDERR_KEPT = 16 * 2 ** 20;

/** Runs a program without a shell. Does not throw for a non-zero exit. */
export async function runProgram(
  program: string,
  args: readonly string[],
  options: RunOptions,
): Promise<RunResult> {
  throwIfAborted(options.signal);
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      stdio: [options.input === undefined ? "ignore" : "pipe", "pipe", "pipe"],
    });
    let stderr = "";
    let failure: unknown;
    const stop = (error: unknown): void => {
      failure ??= error;
      child.kill("SIGKILL");
    };
    const silence = setTimeout(
      () => stop(timedOut(program, options.silenceSecs)),
      options.silenceSecs * 1000,
    );
    const onAbort = (): void => {
      try {
        throwIfAborted(options.signal);
      } catch (error) {
        stop(error);
      }
    };
    options.signal?.addEventListener("abort", onAbort);
    child.stdout!.on("data", (chunk: Buffer) => {
      silence.refresh();
      try {
        options.onOutput(chunk);
      } catch (error) {
        stop(error);
      }
    });
    child.stderr!.setEncoding("utf8").on("data", (chunk: string) => {
      silence.refresh();
      stderr = (stderr + chunk).slice(-STDERR_KEPT);
    });
    child.on("error", (cause) => {
      failure ??= new VansError("VANS_MEDIA_BACKEND_MISSING", `${program} cannot be started`, {
        cause,
        found: cause.message,
      });
    });
    child.on("close", (exitCode) => {
      clearTimeout(silence);
      options.signal?.removeEventListener("abort", onAbort);
      if (failure === undefined) resolve({ exitCode, stderr });
      else reject(failure);
    });
    if (options.input !== undefined) feed(child.stdin!, options.input).catch(stop);
  });
}

async function feed(stdin: NodeJS.WritableStream, input: Iterable<Uint8Array>): Promise<void> {
  // A program that stops reading early says why through its exit code.
  let isOpen = true;
  stdin.on("error", () => {
    isOpen = false;
  });
  stdin.on("close", () => {
    isOpen = false;
  });
  for (const chunk of input) {
    if (!isOpen) return;
    await new Promise<void>((resolve) => stdin.write(chunk, () => resolve()));
  }
  stdin.end();
}
