/**
 * Files as answers, in the ranges that players ask for.
 * @module
 */
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { extname } from "node:path";
import { Readable } from "node:stream";
import type { Context } from "hono";
import { HttpError, notFound } from "./http-error.ts";
import type { RouteResponse } from "./route.ts";

const TYPES: Readonly<Record<string, string>> = {
  ".mp4": "video/mp4",
  ".webm": "video/webm",
  ".mov": "video/quicktime",
  ".mkv": "video/x-matroska",
  ".gif": "image/gif",
  ".png": "image/png",
  ".jpg": "image/jpeg",
  ".jpeg": "image/jpeg",
  ".webp": "image/webp",
  ".json": "application/json; charset=utf-8",
  ".jsonl": "application/x-ndjson; charset=utf-8",
  ".yaml": "text/plain; charset=utf-8",
  ".md": "text/plain; charset=utf-8",
};

/** The type that a file is sent as; what a browser could run as a page is sent as bytes. */
export function typeOf(path: string): string {
  return TYPES[extname(path).toLowerCase()] ?? "application/octet-stream";
}

/** What a route that sends a file may answer. */
export const FILE_RESPONSES: Readonly<Record<number, RouteResponse>> = {
  200: { about: "The file; ranges are understood", contentType: "*/*" },
  206: { about: "The range that was asked for", contentType: "*/*" },
  304: { about: "It is as the client has it" },
};

/** Sends a file, or the range of it that was asked for. @throws a 404 */
export async function sendFile(
  context: Context,
  path: string,
  options: { readonly type?: string; readonly download?: string; readonly isImmutable?: boolean } = {},
): Promise<Response> {
  const found = await stat(path).catch(() => undefined);
  if (!found?.isFile()) throw notFound("file", path.split("/").at(-1) ?? "");
  const { size } = found;
  const tag = `"${size.toString(36)}-${Math.floor(found.mtimeMs).toString(36)}"`;
  const headers: Record<string, string> = {
    "content-type": options.type ?? typeOf(path),
    "accept-ranges": "bytes",
    "cache-control": options.isImmutable ? "private, max-age=31536000, immutable" : "no-cache",
    etag: tag,
    ...(options.download !== undefined && {
      "content-disposition": `attachment; filename*=UTF-8''${encodeURIComponent(options.download)}`,
    }),
  };
  if (context.req.header("if-none-match") === tag) return new Response(null, { status: 304, headers });
  const wish = /^bytes=(\d*)-(\d*)$/.exec(context.req.header("range") ?? "");
  if (!wish || (wish[1] === "" && wish[2] === "")) {
    const body = size === 0 ? null : streamOf(path, 0, size - 1);
    return new Response(body, { headers: { ...headers, "content-length": String(size) } });
  }
  const [start, end] =
    wish[1] === ""
      ? [Math.max(0, size - Number(wish[2])), size - 1]
      : [Number(wish[1]), wish[2] === "" ? size - 1 : Math.min(size - 1, Number(wish[2]))];
  if (start > end || start >= size)
    throw new HttpError(416, "VANS_SERVE_RANGE", "the file has no such range", {
      asked: wish[0],
      found: `${size} bytes`,
      headers: { "content-range": `bytes */${size}` },
    });
  return new Response(streamOf(path, start, end), {
    status: 206,
    headers: {
      ...headers,
      "content-length": String(end - start + 1),
      "content-range": `bytes ${start}-${end}/${size}`,
    },
  });
}

function streamOf(path: string, start: number, end: number): ReadableStream {
  return Readable.toWeb(createReadStream(path, { start, end })) as ReadableStream;
}
