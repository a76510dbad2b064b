/**
 * The studio as it is used: a server of its own process, and a real browser before it.
 * @module
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { existsSync, readdirSync, statSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Browser, chromium } from "playwright-core";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/** Where a Chromium may be. */
const PLACES = [
  process.env["CHROMIUM"],
  "/usr/bin/chromium",
  "/usr/bin/chromium-browser",
  "/usr/bin/google-chrome",
  "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
];

/** The Chromium of this machine; undefined where there is none. */
export const CHROMIUM = PLACES.find((path) => path !== undefined && existsSync(path));

/** Why tests in the browser are skipped. */
export const WHY_SKIPPED = "no Chromium on this machine; set CHROMIUM to the path of one";

/** Opens the browser. */
export function openBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath: CHROMIUM!,
    args: ["--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"],
  });
}

/** Builds the studio where that was not done since its sources changed. */
export function buildStudio(): void {
  const built = join(ROOT, "dist/studio/index.html");
  const newest = Math.max(
    ...readdirSync(join(ROOT, "studio"), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => statSync(join(entry.parentPath, entry.name)).mtimeMs),
  );
  if (existsSync(built) && statSync(built).mtimeMs > newest) return;
  execFileSync(
    process.execPath,
    [join(ROOT, "node_modules/vite/bin/vite.js"), "build", "studio", "--logLevel", "warn"],
    {
      cwd: ROOT,
      // What is left behind is what users get; tests run in an environment of their own.
      env: { ...process.env, NODE_ENV: "production" },
      stdio: "inherit",
    },
  );
}

/** `vans serve` in a process of its own, which can be killed. */
export class StudioServer {
  readonly folder: string;
  readonly #port: number;
  readonly #env: Readonly<Record<string, string>>;
  #process: ChildProcess | undefined;

  private constructor(folder: string, port: number, env: Readonly<Record<string, string>>) {
    this.folder = folder;
    this.#port = port;
    this.#env = env;
  }

  static async start(env: Readonly<Record<string, string>> = {}): Promise<StudioServer> {
    const server = new StudioServer(await mkdtemp(join(tmpdir(), "vans-studio-")), await freePort(), env);
    await server.run();
    return server;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** Starts the process and waits until it answers. */
  async run(): Promise<void> {
    const folder = (name: string): string => join(this.folder, name);
    const options = {
      port: this.#port,
      workers: 1,
      suite: "playroom-sft",
      data: folder("data"),
      runs: folder("runs"),
    };
    const flags = Object.entries({ ...options, reports: folder("reports"), datasets: folder("datasets") });
    this.#process = spawn(
      process.execPath,
      [
        "--import",
        "tsx",
        "src/cli/main.ts",
        "serve",
        ...flags.flatMap(([name, value]) => [`--${name}`, String(value)]),
      ],
      { cwd: ROOT, env: { ...process.env, ...this.#env }, stdio: ["ignore", "ignore", "inherit"] },
    );
    for (;;) {
      const response = await fetch(`${this.url}/healthz`).catch(() => undefined);
      if (response?.ok) return;
      if (this.#process.exitCode !== null) throw new Error("the server ended at once");
      await new Promise((done) => setTimeout(done, 200));
    }
  }

  /** Ends the process without a chance to tidy up. */
  async kill(signal: "SIGKILL" | "SIGTERM" = "SIGKILL"): Promise<void> {
    const running = this.#process;
    if (!running || running.exitCode !== null || running.signalCode !== null) return;
    const ended = new Promise((done) => running.once("exit", done));
    running.kill(signal);
    await ended;
  }

  async close(): Promise<void> {
    await this.kill();
    await rm(this.folder, { recursive: true, force: true });
  }
}

function freePort(): Promise<number> {
  return new Promise((done, fail) => {
    const probe = createServer();
    probe.on("error", fail);
    probe.listen(0, "127.0.0.1", () => {
      const address = probe.address();
      probe.close(() =>
        typeof address === "object" && address ? done(address.port) : fail(new Error("no port")),
      );
    });
  });
}
