/**
 * A run as it goes on: new lines of its log, new sheets, what it takes of the machine, as server-sent events.
 * @module
 */
import { setTimeout as pause } from "node:timers/promises";
import { streamSSE } from "hono/streaming";
import { EVENT_HEADERS } from "../event-stream.ts";
import { type Route, route } from "../route.ts";
import { runFacts } from "../runs/run-folders.ts";
import { seriesOf } from "../runs/run-log.ts";
import type { Runs } from "../runs/runs.ts";
import type { ServerContext } from "../server-context.ts";

/** Milliseconds between looks at the folder. */
const LOOK_MS = 1000;
/** Looks without news before a sign of life. */
const QUIET_LOOKS = 15;

/** Routes of events of runs. */
export function runEventRoutes({ closing }: ServerContext, runs: Runs): Route[] {
  return [
    route({
      method: "get",
      path: "/api/v1/runs/:name/events",
      tag: "runs",
      summary: "Follow a run: server-sent events, from Last-Event-ID on",
      responses: {
        200: {
          about:
            "run (the run), log (series of new lines; `isFresh` where earlier ones no longer count), sheets, use (cores and memory)",
          contentType: "text/event-stream",
        },
      },
      headers: EVENT_HEADERS,
      handle: async ({ context, params }) => {
        const name = params["name"]!;
        const { path, log } = await runs.folder(name);
        const last = context.req.header("last-event-id") ?? context.req.query("after") ?? "";
        let [generation, told] = /^\d+\.\d+$/.test(last)
          ? (last.split(".").map(Number) as [number, number])
          : [-1, 0];
        return streamSSE(context, async (stream) => {
          let [sheets, state, quiet] = [-1, "", 0];
          while (!stream.aborted && !stream.closed && !closing.aborted) {
            const found = await log.read();
            const isFresh = found.generation !== generation || told > found.lines.length;
            if (isFresh) told = 0;
            generation = found.generation;
            const send = async (event: string, data: unknown): Promise<void> => {
              quiet = 0;
              await stream.writeSSE({ event, id: `${generation}.${told}`, data: JSON.stringify(data) });
            };
            if (isFresh || told < found.lines.length) {
              const fresh = found.lines.slice(told);
              told = found.lines.length;
              await send("log", { isFresh, series: seriesOf(fresh) });
            }
            const facts = await runFacts(path);
            if (facts.sheets.length !== sheets) {
              sheets = facts.sheets.length;
              const listed = facts.sheets.map(({ step, file }) => ({
                step,
                url: `/api/v1/runs/${name}/files/sheets/${file}`,
              }));
              await send("sheets", { sheets: listed });
            }
            const body = await runs.get(name);
            const now = `${body.state} ${body.lastStep} ${body.progress?.done}`;
            if (now !== state) {
              state = now;
              await send("run", body);
            }
            if (facts.pid !== null) {
              const use = await runs.meter.measure(facts.pid);
              if (use) await send("use", use);
            }
            if (++quiet >= QUIET_LOOKS) {
              await stream.write(": still here\n\n");
              quiet = 0;
            }
            await pause(LOOK_MS, undefined, { signal: closing }).catch(() => undefined);
          }
        });
      },
    }),
  ];
}
