/**
 * Long work as a process of its own: a `vans` command that tells JSON lines, and is asked to stop before it is killed.
 * @module
 */
import { spawn } from "node:child_process";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { fileURLToPath, pathToFileURL } from "node:url";
import { throwIfAborted } from "../../base/abort.ts";
import { VansError } from "../../base/errors.ts";

/** Time that a stopped command has to write its checkpoint. */
const STOP_GRACE_MS = 60_000;
/** Lines of errors that are kept. */
const KEPT_LINES = 20;

/** How a command is followed. */
export interface VansCommandOptions {
  /** Asks the command to end; it writes a checkpoint first. */
  readonly signal: AbortSignal;
  /** Every JSON line that it prints. */
  onEvent?(event: Readonly<Record<string, unknown>>): void | Promise<void>;
  onProcess?(pid: number): void;
}

/** Runs `vans` to its end. @throws `VANS_RUN_ABORTED`, `VANS_SERVE_COMMAND_FAILED` with the last lines of its errors */
export async function runVans(
  args: readonly string[],
  { signal, onEvent, onProcess }: VansCommandOptions,
): Promise<void> {
  throwIfAborted(signal);
  const isSource = import.meta.url.endsWith(".ts");
  const main = fileURLToPath(new URL(`../../cli/main.${isSource ? "ts" : "js"}`, import.meta.url));
  const loader = isSource
    ? ["--import", pathToFileURL(createRequire(import.meta.url).resolve("tsx")).href]
    : [];
  const child = spawn(process.execPath, [...loader, main, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  let killer: NodeJS.Timeout | undefined;
  const stop = (): void => {
    child.kill("SIGTERM");
    killer = setTimeout(() => child.kill("SIGKILL"), STOP_GRACE_MS);
    killer.unref();
  };
  signal.addEventListener("abort", stop, { once: true });
  if (child.pid !== undefined) onProcess?.(child.pid);
  const errors: string[] = [];
  createInterface({ input: child.stderr }).on("line", (line) => {
    errors.push(line.slice(0, 500));
    if (errors.length > KEPT_LINES) errors.shift();
  });
  let told: Promise<void> = Promise.resolve();
  createInterface({ input: child.stdout }).on("line", (line) => {
    const event = parsedEvent(line);
    if (event) told = told.then(() => onEvent?.(event)).catch(() => undefined);
  });
  const code = await new Promise<number | null>((done) => {
    child.once("error", (error) => {
      errors.push(error.message);
      done(null);
    });
    child.once("close", (status) => done(status));
  });
  clearTimeout(killer);
  signal.removeEventListener("abort", stop);
  await told;
  if (code === 0) return;
  throwIfAborted(signal);
  throw new VansError(
    "VANS_SERVE_COMMAND_FAILED",
    errors.find((line) => /\bVANS_[A-Z_]+\b|\berror\b/i.test(line)) ?? "the command ended with an error",
    {
      asked: `vans ${args.join(" ")}`.slice(0, 500),
      found: `exit ${code ?? "without a code"}: ${errors.slice(-6).join(" · ")}`.slice(0, 1500),
      fix: "the same command on the command line shows everything",
    },
  );
}

function parsedEvent(line: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}
