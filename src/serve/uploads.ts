/**
 * Clips that clients send: streamed to disk, measured before they are taken, refused with a reason.
 * @module
 */
import { createHash } from "node:crypto";
import { createWriteStream } from "node:fs";
import { mkdir, readdir, rename, rm, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { Readable, Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { z } from "zod";
import { ClipThreads } from "./clip-threads.ts";
import { formFile } from "./form-file.ts";
import { HttpError, notFound } from "./http-error.ts";
import { type JobStore, newId } from "./job-store.ts";
import type { ServeConfig } from "./serve-config.ts";

/** What is known of an upload. */
export const uploadSchema = z.object({
  id: z.string(),
  name: z.string().describe("As the client named it"),
  mediaType: z.string(),
  bytes: z.number().int(),
  sha256: z.string(),
  durationSecs: z.number(),
  width: z.number().int(),
  height: z.number().int(),
  frameRateHz: z.number(),
  isStill: z.boolean(),
  content: z.string().describe("Path of the file itself"),
  poster: z.string().describe("Path of its first frame as a picture"),
});
export type Upload = z.infer<typeof uploadSchema>;

const MEDIA_TYPES: Readonly<Record<string, string>> = {
  mp4: "video/mp4",
  mov: "video/quicktime",
  mkv: "video/x-matroska",
  webm: "video/webm",
  gif: "image/gif",
  png: "image/png",
  jpeg: "image/jpeg",
  webp: "image/webp",
};

/** Seconds without a byte after which an upload is given up. */
const STALL_SECS = 20;
/** Uploads that a client may send at a time. */
const MOST_AT_A_TIME = 8;
/** Most frames of a clip: a small file can claim millions. */
const MOST_FRAMES = 100_000;
/** Containers whose single frame is a picture. */
const PICTURES = new Set(["png", "jpeg", "webp", "gif"]);

type WebStream = Parameters<typeof Readable.fromWeb>[0];

/** Uploads of a server. */
export class Uploads {
  readonly #config: ServeConfig;
  readonly #store: JobStore;
  readonly #folder: string;
  readonly #threads = new ClipThreads();
  /** Uploads on their way, by client. */
  readonly #arriving = new Map<string, number>();

  constructor(config: ServeConfig, store: JobStore) {
    this.#config = config;
    this.#store = store;
    this.#folder = join(config.data, "uploads");
  }

  /** Where an upload's file lies. */
  pathOf(id: string): string {
    return join(this.#folder, id, "clip");
  }

  /** Where its first frame lies. */
  posterOf(id: string): string {
    return join(this.#folder, id, "poster.png");
  }

  /** An upload. @throws a 404 */
  get(id: string): Upload {
    const found = this.#store.getUpload(id);
    if (!found) throw notFound("upload", id);
    return found as Upload;
  }

  /** The newest first. */
  list(limit: number): Upload[] {
    return this.#store.listUploads(limit) as Upload[];
  }

  /** Forgets an upload and its file. */
  async remove(id: string): Promise<void> {
    this.get(id);
    this.#store.removeUpload(id);
    await rm(join(this.#folder, id), { recursive: true, force: true });
  }

  /**
   * Takes an upload. Nothing is left of one that is refused.
   * @throws `VANS_SERVE_UPLOAD_TOO_LARGE`, `VANS_SERVE_UPLOAD_EMPTY`, `VANS_SERVE_UPLOAD_STALLED`,
   * `VANS_SERVE_CLIP_TOO_LONG`, `VANS_SERVE_FRAME_TOO_LARGE`, `VANS_SERVE_TOO_MANY_REQUESTS`, `VANS_MEDIA_…`
   */
  async take(
    body: ReadableStream | null,
    facts: {
      readonly name: string;
      readonly client: string;
      readonly bytes: number | undefined;
      readonly contentType: string;
    },
  ): Promise<Upload> {
    const { maxUploadBytes } = this.#config;
    const { client, bytes, contentType } = facts;
    if (bytes !== undefined && bytes > maxUploadBytes) throw tooLarge(bytes, maxUploadBytes);
    if (!body) throw emptyUpload();
    const before = this.#arriving.get(client) ?? 0;
    if (before >= MOST_AT_A_TIME) throw tooManyUploads();
    this.#arriving.set(client, before + 1);
    try {
      if (!/^multipart\/form-data\b/i.test(contentType))
        return await this.#keep(Readable.fromWeb(body as WebStream), facts.name);
      const file = await formFile(body, contentType);
      return await this.#keep(file.bytes, file.name);
    } finally {
      const left = this.#arriving.get(client)! - 1;
      if (left > 0) this.#arriving.set(client, left);
      else this.#arriving.delete(client);
    }
  }

  async #keep(source: Readable, name: string): Promise<Upload> {
    const { maxUploadBytes } = this.#config;
    const id = newId();
    const folder = join(this.#folder, `${id}.part`);
    const path = join(folder, "clip");
    const stall = setTimeout(() => source.destroy(stalled()), STALL_SECS * 1000);
    try {
      await mkdir(folder, { recursive: true });
      const hash = createHash("sha256");
      let bytes = 0;
      const counting = new Transform({
        transform(chunk: Buffer, _encoding, done) {
          bytes += chunk.length;
          stall.refresh();
          if (bytes > maxUploadBytes) return done(tooLarge(bytes, maxUploadBytes));
          hash.update(chunk);
          done(null, chunk);
        },
      });
      await pipeline(source, counting, createWriteStream(path));
      clearTimeout(stall);
      if (bytes === 0) throw emptyUpload();
      const info = await this.#look(path, join(folder, "poster.png"));
      const upload: Upload = {
        id,
        name: cleanName(name),
        mediaType: MEDIA_TYPES[info.container] ?? "application/octet-stream",
        bytes,
        sha256: hash.digest("hex"),
        durationSecs: info.durationSecs,
        width: info.width,
        height: info.height,
        frameRateHz: info.frameRateHz,
        isStill: info.frameCount <= 1 && PICTURES.has(info.container),
        content: `/api/v1/uploads/${id}/content`,
        poster: `/api/v1/uploads/${id}/poster.png`,
      };
      await rename(folder, join(this.#folder, id));
      this.#store.addUpload(id, upload);
      return upload;
    } catch (error) {
      await rm(folder, { recursive: true, force: true });
      if ((error as NodeJS.ErrnoException).code === "ENOSPC")
        throw new HttpError(507, "VANS_SERVE_DISK_FULL", "the server's disk is full", {
          fix: "delete answers and uploads",
        });
      throw error;
    } finally {
      clearTimeout(stall);
    }
  }

  async #look(path: string, poster: string) {
    const { maxClipSecs, maxPixels } = this.#config;
    const info = await this.#threads.probe(path);
    if (info.durationSecs > maxClipSecs)
      throw new HttpError(413, "VANS_SERVE_CLIP_TOO_LONG", "the clip is too long for this server", {
        asked: `${info.durationSecs.toFixed(1)} s`,
        found: `at most ${maxClipSecs} s`,
        fix: "cut the clip to the seconds that the question is about",
      });
    if (info.width * info.height > maxPixels)
      throw new HttpError(413, "VANS_SERVE_FRAME_TOO_LARGE", "the frames are too large for this server", {
        asked: `${info.width} x ${info.height}`,
        found: `at most ${maxPixels} pixels a frame`,
        fix: "scale the clip down; answers are drawn much smaller",
      });
    if (info.frameCount > MOST_FRAMES)
      throw new HttpError(413, "VANS_SERVE_CLIP_TOO_LONG", "the clip has too many frames for this server", {
        asked: `${info.frameCount} frames`,
        found: `at most ${MOST_FRAMES}`,
        fix: "cut the clip to the seconds that the question is about",
      });
    await this.#threads.writePoster(path, poster, 4 * maxPixels);
    return info;
  }

  /** Ends the threads that look into files. */
  async close(): Promise<void> {
    await this.#threads.close();
  }

  /** Removes what uploads that were cut off by the end of the server have left. */
  async clean(): Promise<void> {
    for (const name of await readdir(this.#folder).catch(() => []))
      if (name.endsWith(".part") && (await stat(join(this.#folder, name)).catch(() => undefined)))
        await rm(join(this.#folder, name), { recursive: true, force: true });
  }
}

function tooLarge(bytes: number, most: number): HttpError {
  return new HttpError(413, "VANS_SERVE_UPLOAD_TOO_LARGE", "the upload is too large", {
    asked: `${bytes} bytes or more`,
    found: `at most ${most} bytes`,
    fix: "cut or compress the clip, or start the server with a larger --max-upload",
    headers: { connection: "close" },
  });
}

function stalled(): HttpError {
  return new HttpError(408, "VANS_SERVE_UPLOAD_STALLED", "the upload stopped on its way", {
    found: `no byte for ${STALL_SECS} s`,
    fix: "send it again",
    headers: { connection: "close" },
  });
}

function tooManyUploads(): HttpError {
  return new HttpError(429, "VANS_SERVE_TOO_MANY_REQUESTS", "too many uploads at a time", {
    found: `${MOST_AT_A_TIME} are on their way`,
    fix: "wait for one of them",
    headers: { "retry-after": "5", connection: "close" },
  });
}

function emptyUpload(): HttpError {
  return new HttpError(400, "VANS_SERVE_UPLOAD_EMPTY", "the upload has no bytes", {
    fix: "send the file itself as the body: curl --data-binary @clip.mp4",
  });
}

/** A name to show: no folders, no control characters, not endless. */
function cleanName(name: string): string {
  const printable = [...basename(name.replaceAll("\\", "/"))].filter(
    (char) => char >= " " && char !== "\u007f",
  );
  return printable.slice(0, 120).join("") || "clip";
}
