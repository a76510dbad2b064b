/**
 * Writing a file whole or not at all, with media error codes.
 * @module
 */
import { writeFileAtomically } from "../weights/atomic-file.ts";
import { unwritable } from "./media-errors.ts";

/**
 * Writes through a temporary file beside `path` and renames it. On failure nothing is left and an older file stays.
 *
 * @throws VANS_MEDIA_DISK_FULL, VANS_MEDIA_UNWRITABLE
 */
export async function writeMediaFile(path: string, bytes: Uint8Array): Promise<void> {
  try {
    await writeFileAtomically(path, async (file) => {
      for (let at = 0; at < bytes.length; )
        at += (await file.write(bytes, at, bytes.length - at)).bytesWritten;
    });
  } catch (error) {
    throw unwritable(path, error);
  }
}
