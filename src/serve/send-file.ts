/**
 * Files as answers, in the ranges that players ask for.
 * @module
 */
import { randomBytes } from "node:crypto";
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
export function fileResponses(contentType: string): Readonly<Record<number, RouteResponse>> {
  return {
    200: { about: "The file; ranges are understood", contentType },
    206: {
      about: "The range that was asked for; several ranges come as multipart/byteranges",
      contentType,
    },
    304: { about: "It is as the client has it" },
  };
}

/** Sends a file, or the ranges of it that were asked for. @throws a 404; a 416 */
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
  // Who asks for the head only opens no file.
  const isHead = context.req.raw.method === "HEAD";
  const bytes = (start: number, end: number): ReadableStream | null =>
    isHead || end < start ? null : streamOf(path, start, end);
  const ifRange = context.req.header("if-range");
  const wish = ifRange === undefined || ifRange === tag ? context.req.header("range") : undefined;
  const ranges = rangesOf(wish, size);
  if (!ranges)
    return new Response(bytes(0, size - 1), { headers: { ...headers, "content-length": String(size) } });
  const [first] = ranges;
  if (!first)
    throw new HttpError(416, "VANS_SERVE_RANGE", "the file has no such range", {
      asked: wish!.slice(0, 100),
      found: `${size} bytes`,
      headers: { "content-range": `bytes */${size}` },
    });
  if (ranges.length > 1) return partsOf(path, ranges, size, headers, isHead);
  return new Response(bytes(first.start, first.end), {
    status: 206,
    headers: {
      ...headers,
      "content-length": String(first.end - first.start + 1),
      "content-range": `bytes ${first.start}-${first.end}/${size}`,
    },
  });
}

/** Bytes from and to, both included. */
interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/** More ranges than players ask for: only meant to make work. */
const MOST_RANGES = 16;

/**
 * The ranges of a header that lie in the file (RFC 9110, 14.2). Undefined where there is no header, or one that makes no
 * sense: the whole file is the answer then. Empty where none of the ranges lies in the file.
 */
export function rangesOf(header: string | undefined, size: number): readonly ByteRange[] | undefined {
  const list = /^bytes=(.*)$/i.exec(header ?? "")?.[1]?.split(",");
  if (!list || list.length > MOST_RANGES) return undefined;
  const ranges: ByteRange[] = [];
  for (const one of list) {
    const [, from = "", to = ""] = /^\s*(\d*)-(\d*)\s*$/.exec(one) ?? [];
    if (from === "" && to === "") return undefined;
    if (from !== "" && to !== "" && Number(to) < Number(from)) return undefined;
    const start = from === "" ? Math.max(0, size - Number(to)) : Number(from);
    const end = from === "" || to === "" ? size - 1 : Math.min(size - 1, Number(to));
    if (start <= end && start < size) ranges.push({ start, end });
  }
  return ranges;
}

/** Several ranges in one answer. */
function partsOf(
  path: string,
  ranges: readonly ByteRange[],
  size: number,
  headers: Readonly<Record<string, string>>,
  isHead: boolean,
): Response {
  const boundary = `vans-${randomBytes(12).toString("hex")}`;
  const heads = ranges.map(({ start, end }) =>
    Buffer.from(
      `\r\n--${boundary}\r\nContent-Type: ${headers["content-type"]}\r\nContent-Range: bytes ${start}-${end}/${size}\r\n\r\n`,
    ),
  );
  const last = Buffer.from(`\r\n--${boundary}--\r\n`);
  const length = ranges.reduce(
    (sum, { start, end }, i) => sum + heads[i]!.length + end - start + 1,
    last.length,
  );
  const pieces = async function* (): AsyncGenerator<Buffer> {
    for (const [i, { start, end }] of ranges.entries()) {
      yield heads[i]!;
      yield* createReadStream(path, { start, end });
    }
    yield last;
  };
  return new Response(isHead ? null : (Readable.toWeb(Readable.from(pieces())) as ReadableStream), {
    status: 206,
    headers: {
      ...headers,
      "content-type": `multipart/byteranges; boundary=${boundary}`,
      "content-length": String(length),
    },
  });
}

function streamOf(path: string, start: number, end: number): ReadableStream {
  return Readable.toWeb(createReadStream(path, { start, end })) as ReadableStream;
}
