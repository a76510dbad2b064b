/**
 * `vans serve`: the HTTP API and the studio.
 * @module
 */
import { Command } from "@commander-js/extra-typings";
import { decimalNumber, wholeNumber } from "./number-options.ts";

const HELP = `
Opens the studio at http://127.0.0.1:4280/ask, the API at /api/v1/, its description at /docs. Only this machine can reach it
unless --host says otherwise; then set tokens: VANS_SERVE_TOKENS=token1,token2 vans serve --host 0.0.0.0

Examples:
  vans serve
  vans serve --port 8080 --workers 2 --data ~/vans-data
  curl -s localhost:4280/healthz`;

/** The command `serve`. */
export function serveCommand() {
  return new Command("serve")
    .description("open the studio and the HTTP API on this machine")
    .option("--port <n>", "port; 0 takes a free one", wholeNumber(0, 65535), 4280)
    .option("--host <address>", "address to bind to", "127.0.0.1")
    .option("--suite <name>", "suite of answers that name none", "playroom")
    .option("--workers <n>", "answers at a time (default: half the cores)", wholeNumber(1, 64))
    .option("--data <dir>", "folder of uploads, answers and the queue", "vans-data")
    .option("--runs <dir>", "folder of training runs", "runs")
    .option("--reports <dir>", "folder of evaluation reports", "out")
    .option("--datasets <dir>", "folder of datasets", "out")
    .option("--max-upload <MB>", "largest upload", decimalNumber(0), 200)
    .option("--max-clip <secs>", "longest clip", decimalNumber(0), 600)
    .option(
      "--max-jobs <n>",
      "unfinished jobs a client may have (default: 256 on loopback, else 32)",
      wholeNumber(1, 1e6),
    )
    .option(
      "--max-writes <n>",
      "writing requests a client may make a minute (default: 2400 on loopback, else 240)",
      wholeNumber(1, 1e6),
    )
    .addHelpText("after", HELP)
    .action(async ({ maxUpload, maxClip, maxJobs, maxWrites, ...options }) => {
      const { startServer, isLoopback } = await import("../serve/index.ts");
      const tokens = (process.env["VANS_SERVE_TOKENS"] ?? "").split(",").filter((token) => token !== "");
      const server = await startServer({
        ...options,
        tokens,
        maxUploadBytes: maxUpload * 1e6,
        maxClipSecs: maxClip,
        maxClientJobs: maxJobs,
        maxWritesPerMinute: maxWrites,
      });
      console.log(`Studio: ${server.url}/ask\nAPI:    ${server.url}/docs\nData:   ${server.config.data}`);
      if (!isLoopback(server.config.host) && tokens.length === 0)
        console.error("warning: everybody who reaches this address can use it; set VANS_SERVE_TOKENS");
      await new Promise<void>((done) => {
        let asked = false;
        const stop = (): void => {
          if (asked) process.exit(130);
          asked = true;
          console.log("Stopping: running answers may end; once more ends at once.");
          void server.close().then(done);
        };
        process.on("SIGINT", stop);
        process.on("SIGTERM", stop);
      });
    });
}
