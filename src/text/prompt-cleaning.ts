/**
 * How Wan cleans a prompt before its text encoder (wan/modules/tokenizers.py, `whitespace_clean(basic_clean(text))`).
 * @module
 */
import { fixText } from "./fix-text.ts";
import { unescapeHtml } from "./html-unescape.ts";
import { collapseSpaces, strip } from "./whitespace.ts";

/**
 * The cleaned prompt: damage repaired, character references resolved twice, runs of white space turned into one space,
 * ends stripped.
 *
 * @example
 * ```ts
 * import { cleanPrompt } from "vans/text";
 * cleanPrompt("  a &amp;amp; b\n“c” "); // => 'a & b "c"'
 * ```
 */
export function cleanPrompt(text: string): string {
  return strip(collapseSpaces(strip(unescapeHtml(unescapeHtml(fixText(text))))));
}
