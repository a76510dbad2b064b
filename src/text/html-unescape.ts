/**
 * Resolving HTML character references, as Python's `html.unescape` does (the rules of HTML 5, text outside attributes).
 * @module
 */
import { HTML_ENTITIES, HTML_ENTITIES_WITHOUT_SEMICOLON } from "./html-entities.ts";

const REFERENCE = /&(#[0-9]+;?|#[xX][0-9a-fA-F]+;?|[^\t\n\f <&#;]{1,32};?)/gu;

/** Code points 0x80 to 0x9f mean Windows-1252 in HTML; the five that are unassigned stay as they are. */
const WINDOWS_1252 = "€\x81‚ƒ„…†‡ˆ‰Š‹Œ\x8dŽ\x8f\x90‘’“”•–—˜™š›œ\x9džŸ";

/** The text with every character reference resolved once. */
export function unescapeHtml(text: string): string {
  if (!text.includes("&")) return text;
  return text.replaceAll(REFERENCE, (_, reference: string) =>
    reference.startsWith("#") ? numeric(reference) : named(reference),
  );
}

function numeric(reference: string): string {
  const digits = reference.slice(1).replace(/;$/, "");
  const isHex = /^x/i.test(digits);
  const point = Number.parseInt(isHex ? digits.slice(1) : digits, isHex ? 16 : 10);
  if (point === 0) return "\ufffd";
  if (point === 0x0d) return "\r";
  if (point >= 0x80 && point <= 0x9f) return WINDOWS_1252[point - 0x80]!;
  if ((point >= 0xd800 && point <= 0xdfff) || point > 0x10ffff) return "\ufffd";
  if (isNoCharacter(point)) return "";
  return String.fromCodePoint(point);
}

/** Control characters and code points that are never characters vanish. */
function isNoCharacter(point: number): boolean {
  const isControl =
    (point >= 0x1 && point <= 0x8) || point === 0xb || (point >= 0xe && point <= 0x1f) || point === 0x7f;
  return isControl || (point >= 0xfdd0 && point <= 0xfdef) || (point & 0xfffe) === 0xfffe;
}

function named(reference: string): string {
  if (reference.endsWith(";")) {
    const exact = HTML_ENTITIES.get(reference.slice(0, -1));
    if (exact !== undefined) return exact;
  }
  // The longest prefix that counts without a semicolon: `&notit` is `¬it`.
  for (let length = reference.length; length > 1; length--) {
    const name = reference.slice(0, length);
    if (HTML_ENTITIES_WITHOUT_SEMICOLON.has(name)) return HTML_ENTITIES.get(name)! + reference.slice(length);
  }
  return `&${reference}`;
}
