/**
 * The server behind `vans data view`: one page, the samples, the clips, and decisions that go to `overrides.jsonl`. Only
 * this machine can reach it.
 * @module
 */
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join, normalize, sep } from "node:path";
import { isVansError } from "../../base/errors.ts";
import { applyOverrides } from "../format/export.ts";
import { readSamples } from "../format/manifest-file.ts";
import { type Override, overrideSchema, readOverrides, writeOverrides } from "../format/overrides.ts";
import type { SampleRow } from "../format/sample-row.ts";
import { viewPage } from "./view-page.ts";

/** A running viewer. */
export interface Viewer {
  readonly url: string;
  close(): Promise<void>;
}

const TYPES: Readonly<Record<string, string>> = {
  ".mp4": "video/mp4",
  ".webm": "video/webm",
  ".mov": "video/quicktime",
  ".mkv": "video/x-matroska",
  ".gif": "image/gif",
};
const PAGE_SAMPLES = 50;
const MAX_BODY_BYTES = 200_000;

/**
 * Opens a viewer on a dataset.
 *
 * @throws VansError `VANS_DATA_MANIFEST_NOT_FOUND`, `VANS_DATA_MANIFEST_INVALID`, `VANS_DATA_OVERRIDES_INVALID`
 */
export async function openViewer(folder: string, options: { readonly port?: number } = {}): Promise<Viewer> {
  // Fails before the address is told.
  for await (const _ of readSamples(folder)) break;
  await readOverrides(folder);
  // Decisions are written one after the other: two at once would lose one.
  let writing: Promise<unknown> = Promise.resolve();
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const mine = writing.then(work);
    writing = mine.catch(() => {});
    return mine;
  };
  const server = createServer((request, response) => {
    answer(folder, request, response, inTurn).catch((error: unknown) => {
      if (response.headersSent) return void response.destroy();
      const message = isVansError(error) ? error.message : "the request could not be answered";
      json(response, isVansError(error) ? 400 : 500, { error: message });
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(options.port ?? 0, "127.0.0.1", resolve);
  });
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/`,
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}

function json(response: ServerResponse, status: number, body: unknown): void {
  const text = JSON.stringify(body);
  response.writeHead(status, {
    "content-type": "application/json; charset=utf-8",
    "cache-control": "no-store",
  });
  response.end(text);
}

async function answer(
  folder: string,
  request: IncomingMessage,
  response: ServerResponse,
  inTurn: <T>(work: () => Promise<T>) => Promise<T>,
): Promise<void> {
  const url = new URL(request.url ?? "/", "http://127.0.0.1");
  // A page of another site must not write here through the browser, nor read by a name that points to this machine.
  const host = (request.headers.host ?? "").replace(/:\d+$/, "");
  if (host !== "127.0.0.1" && host !== "localhost")
    return json(response, 403, { error: "not for this host" });
  const origin = request.headers.origin;
  if (request.method === "POST" && origin !== undefined && new URL(origin).host !== request.headers.host)
    return json(response, 403, { error: "not from another site" });
  if (request.method === "GET" && url.pathname === "/") {
    response.writeHead(200, {
      "content-type": "text/html; charset=utf-8",
      "content-security-policy":
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; media-src 'self'; img-src 'self'; connect-src 'self'",
    });
    response.end(viewPage());
    return;
  }
  // Browsers ask for a picture of the page by themselves.
  if (url.pathname === "/favicon.ico") return void response.writeHead(204).end();
  if (request.method === "GET" && url.pathname === "/api/samples") return listSamples(folder, url, response);
  if (request.method === "GET" && url.pathname.startsWith("/file/"))
    return sendClip(folder, decodeURIComponent(url.pathname.slice("/file/".length)), request, response);
  if (request.method === "POST" && url.pathname === "/api/override") {
    const body = overrideSchema.safeParse(await bodyOf(request));
    if (!body.success) return json(response, 400, { error: body.error.issues[0]?.message });
    await inTurn(async () => {
      const overrides = await readOverrides(folder);
      overrides.set(body.data.id, body.data);
      await writeOverrides(folder, overrides);
    });
    return json(response, 200, { saved: body.data });
  }
  if (request.method === "POST" && url.pathname === "/api/apply")
    return json(response, 200, await inTurn(() => applyOverrides(folder)));
  json(response, 404, { error: "no such page" });
}

async function bodyOf(request: IncomingMessage): Promise<unknown> {
  const pieces: Buffer[] = [];
  let bytes = 0;
  for await (const piece of request as AsyncIterable<Buffer>) {
    bytes += piece.length;
    if (bytes > MAX_BODY_BYTES) return undefined;
    pieces.push(piece);
  }
  try {
    return JSON.parse(Buffer.concat(pieces).toString("utf8"));
  } catch {
    return undefined;
  }
}

/** Samples that fit the filters, a page of them, and what there is to filter by. */
async function listSamples(folder: string, url: URL, response: ServerResponse): Promise<void> {
  const wish = (name: string): string => url.searchParams.get(name) ?? "";
  const page = Math.max(0, Math.floor(Number(wish("page")) || 0));
  const words = wish("text").toLowerCase();
  const overrides = await readOverrides(folder);
  const facets = {
    kind: new Map<string, number>(),
    split: new Map<string, number>(),
    source: new Map<string, number>(),
  };
  const samples: { row: SampleRow; override: Override | undefined }[] = [];
  let total = 0;
  let fitting = 0;
  for await (const row of readSamples(folder)) {
    total++;
    const override = overrides.get(row.id);
    const shown = { ...row, ...override?.fields };
    for (const name of ["kind", "split", "source"] as const)
      facets[name].set(shown[name], (facets[name].get(shown[name]) ?? 0) + 1);
    const state = override?.rejected ? "rejected" : override === undefined ? "untouched" : "edited";
    const fits =
      (["kind", "split", "source"] as const).every(
        (name) => wish(name) === "" || shown[name] === wish(name),
      ) &&
      (wish("state") === "" || wish("state") === state) &&
      (words === "" ||
        [row.id, shown.question, shown.reasoning, shown.caption, row.goal ?? ""].some((text) =>
          text.toLowerCase().includes(words),
        ));
    if (!fits) continue;
    if (fitting >= page * PAGE_SAMPLES && fitting < (page + 1) * PAGE_SAMPLES)
      samples.push({ row, override });
    fitting++;
  }
  json(response, 200, {
    samples,
    total,
    fitting,
    page,
    pages: Math.max(1, Math.ceil(fitting / PAGE_SAMPLES)),
    facets: Object.fromEntries(
      Object.entries(facets).map(([name, counts]) => [name, [...counts].sort((a, b) => b[1] - a[1])]),
    ),
  });
}

/** A clip, in the ranges that players ask for. */
async function sendClip(
  folder: string,
  name: string,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const path = normalize(join(folder, name));
  const type = TYPES[extname(path).toLowerCase()];
  const root = normalize(folder.endsWith(sep) ? folder : folder + sep);
  const found =
    type !== undefined && path.startsWith(root) ? await stat(path).catch(() => undefined) : undefined;
  if (type === undefined || found === undefined || !found.isFile())
    return json(response, 404, { error: "no such clip" });
  const { size } = found;
  const range = /^bytes=(\d*)-(\d*)$/.exec(request.headers.range ?? "");
  if (range === null) {
    response.writeHead(200, { "content-type": type, "content-length": size, "accept-ranges": "bytes" });
    createReadStream(path).pipe(response);
    return;
  }
  const [start, end] =
    range[1] === ""
      ? [Math.max(0, size - Number(range[2])), size - 1]
      : [Number(range[1]), range[2] === "" ? size - 1 : Math.min(size - 1, Number(range[2]))];
  if (start > end || start >= size) {
    response.writeHead(416, { "content-range": `bytes */${size}` });
    response.end();
    return;
  }
  response.writeHead(206, {
    "content-type": type,
    "content-length": end - start + 1,
    "content-range": `bytes ${start}-${end}/${size}`,
    "accept-ranges": "bytes",
  });
  createReadStream(path, { start, end }).pipe(response);
}
