/**
 * Records of a CSV file, one by one. A parser alone gives up the rest of a file at a quote that is never closed, and
 * takes a file with mixed line ends for one record; here a bad line costs itself only.
 * @module
 */
import { parse } from "csv-parse/sync";
import { VansError } from "../../base/errors.ts";
import { textLines } from "../../base/text-lines.ts";

/** A record, or why a line is none. */
export type CsvRecord =
  | { readonly line: number; readonly cells: readonly string[]; readonly fault?: undefined }
  | { readonly line: number; readonly cells?: undefined; readonly fault: string };

/** A quoted cell may hold line breaks. One that goes on for more lines than these has a quote that is never closed. */
const MOST_LINES = 40;

/**
 * Records of a file with or without byte order mark; empty lines are left out.
 *
 * @throws VansError `VANS_DATA_IMPORT_UNREADABLE` where the file cannot be read
 */
export async function* readCsvRecords(path: string): AsyncGenerator<CsvRecord> {
  // Lines that were read and do not make a whole record yet, and the number of the first.
  const held: string[] = [];
  let number = 1;
  function* take(isEnd: boolean): Generator<CsvRecord> {
    while (held.length > 0) {
      const length = recordLength(held);
      if (length === undefined && !isEnd && held.length < MOST_LINES) return;
      const text = held.splice(0, length || 1).join("\n");
      const line = number;
      number += length || 1;
      if (!length) yield { line, fault: "a quote that is never closed" };
      else if (text.trim() !== "") yield recordOf(text, line);
    }
  }
  try {
    for await (const line of textLines(path)) {
      held.push(line);
      yield* take(false);
    }
  } catch (cause) {
    throw new VansError("VANS_DATA_IMPORT_UNREADABLE", "the annotations cannot be read", {
      asked: path,
      found: cause instanceof Error ? cause.message : String(cause),
      fix: "check the path, and that it is a CSV file",
      cause,
    });
  }
  yield* take(true);
}

function recordOf(text: string, line: number): CsvRecord {
  try {
    const records = parse(text, { relax_column_count: true, relax_quotes: true }) as string[][];
    if (records.length === 1) return { line, cells: records[0]! };
  } catch {
    // Said below.
  }
  return { line, fault: "a row that is no CSV" };
}

/** Lines of the first record; undefined where its last quote is still open, 0 where it cannot be closed any more. */
function recordLength(lines: readonly string[]): number | undefined {
  let isQuoted = false;
  let openedAt = 0;
  for (const [index, line] of lines.entries()) {
    let isCellStart = !isQuoted;
    for (let i = 0; i < line.length; i++) {
      const character = line[i];
      if (isQuoted) {
        if (character !== '"') continue;
        if (line[i + 1] === '"') i++;
        else if (index > openedAt && i + 1 < line.length && line[i + 1] !== ",") return 0;
        else isQuoted = false;
      } else if (character === ",") isCellStart = true;
      else {
        // A quote inside a bare cell is a character like others.
        if (character === '"' && isCellStart) {
          isQuoted = true;
          openedAt = index;
        }
        isCellStart = false;
      }
    }
    if (!isQuoted) return index + 1;
  }
  return undefined;
}
