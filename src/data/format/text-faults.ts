/**
 * Text that is none: what spreadsheets and wrong encodings leave behind.
 * @module
 */

/** What a spreadsheet writes where it could not compute a cell. */
const SPREADSHEET_ERROR =
  /^#(?:NAME\?|REF!|VALUE!|N\/A|DIV\/0!|NULL!|NUM!|ERROR!|SPILL!|CALC!|GETTING_DATA)$/i;

/** True for a cell that a spreadsheet could not compute. */
export function isSpreadsheetError(text: string): boolean {
  return SPREADSHEET_ERROR.test(text.trim());
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
const BROKEN = /[\u0000-\u0008\u000B\u000C\u000E-\u001F\u007F\uFFFD]/;

/** True for text with control characters, or with bytes that were not UTF-8. */
export function isBrokenText(text: string): boolean {
  return BROKEN.test(text);
}
