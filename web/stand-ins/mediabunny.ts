/** mediabunny, whose files on a disk are here files in memory. @module */
import { BufferSource } from "mediabunny";
import { fileBytes } from "../memory-files.ts";

export * from "mediabunny";

/** Takes the place of mediabunny's own, which needs Node. */
export class FilePathSource extends BufferSource {
  constructor(path: string) {
    super(fileBytes(path)!);
  }
}
