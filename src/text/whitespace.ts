/**
 * White space as Python understands it, since the references strip and split with Python.
 *
 * JavaScript's `\s` and `trim` differ: they add U+FEFF and miss U+001C to U+001F and U+0085.
 * @module
 */

/** The inside of a character class with every character for which Python's `str.isspace` holds. */
const PYTHON_SPACE = "\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";

const LEADING = new RegExp(`^[${PYTHON_SPACE}]+`);
const TRAILING = new RegExp(`[${PYTHON_SPACE}]+$`);
const RUNS = new RegExp(`[${PYTHON_SPACE}]+`, "g");
const ONLY = new RegExp(`^[${PYTHON_SPACE}]*$`);

/** `text.strip()` of Python. */
export function strip(text: string): string {
  return text.replace(LEADING, "").replace(TRAILING, "");
}

/** `text.rstrip()` of Python. */
export function stripEnd(text: string): string {
  return text.replace(TRAILING, "");
}

/** `re.sub(r"\s+", " ", text)` of Python. */
export function collapseSpaces(text: string): string {
  return text.replace(RUNS, " ");
}

/** True if the text holds nothing but white space (or nothing). */
export function isBlank(text: string): boolean {
  return ONLY.test(text);
}
