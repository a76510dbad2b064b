/**
 * The file of a form, as a stream: what `curl -F file=@clip.mp4` and HTML forms send.
 * @module
 */
import { Readable } from "node:stream";
import busboy from "busboy";
import { HttpError } from "./http-error.ts";

/** A file inside a form. */
export interface FormFile {
  readonly name: string;
  readonly bytes: Readable;
}

/** The first file of a form. @throws a 400 where there is none */
export function formFile(body: ReadableStream, contentType: string): Promise<FormFile> {
  return new Promise((done, fail) => {
    const refuse = (found: string): void =>
      fail(
        new HttpError(400, "VANS_SERVE_REQUEST", "the form of the request has no file", {
          found: found.slice(0, 200),
          fix: "send one file: curl -F file=@clip.mp4",
        }),
      );
    let parser: ReturnType<typeof busboy>;
    try {
      parser = busboy({
        headers: { "content-type": contentType },
        limits: { files: 1, fields: 20, fieldSize: 10_000, parts: 30 },
      });
    } catch (error) {
      refuse((error as Error).message);
      return;
    }
    const source = Readable.fromWeb(body as Parameters<typeof Readable.fromWeb>[0]);
    let file: Readable | undefined;
    parser.on("file", (_field, bytes, { filename }) => {
      file = bytes;
      done({ name: filename ?? "clip", bytes });
    });
    const broken = (error: Error): void => {
      if (file) file.destroy(error);
      else refuse(error.message);
    };
    parser.on("error", (error) => broken(error as Error));
    source.on("error", broken);
    parser.on("close", () => refuse("no part with a file name"));
    source.pipe(parser);
  });
}
