/**
 * Lines of a text file, one by one.
 * @module
 */
import { createReadStream } from "node:fs";

/**
 * Lines of a UTF-8 file without their ends (`\n` or `\r\n`) and without a byte order mark. Nothing else ends a line:
 * `node:readline` also breaks at U+2028 and U+2029, which JSON text may hold.
 *
 * @throws the error of the file system
 */
export async function* textLines(path: string): AsyncGenerator<string> {
  let held = "";
  let isFirst = true;
  const whole = (line: string): string => {
    const text = isFirst ? line.replace(/^\uFEFF/, "") : line;
    isFirst = false;
    return text.endsWith("\r") ? text.slice(0, -1) : text;
  };
  for await (const chunk of createReadStream(path, "utf8") as AsyncIterable<string>) {
    const lines = chunk.split("\n");
    lines[0] = held + lines[0]!;
    held = lines.pop()!;
    for (const line of lines) yield whole(line);
  }
  if (held !== "") yield whole(held);
}
