/**
 * Repairing text that went through the wrong hands: mojibake, curly quotes, full-width letters, ligatures, control
 * characters. An own implementation of what `ftfy.fix_text` does by default, for the damage that prompts have.
 *
 * Two parts are simpler than there: only UTF-8 read as Latin-1 or Windows-1252 is repaired (not other code pages), and
 * a sequence counts as damage when its bytes form a common character, not by a statistical rule.
 * @module
 */
import { HTML_ENTITIES } from "./html-entities.ts";
import { unescapeHtml } from "./html-unescape.ts";

/** Windows-1252 characters of bytes 0x80 to 0x9f; unassigned bytes are control characters, as in Latin-1. */
const WINDOWS_1252 = "€\x81‚ƒ„…†‡ˆ‰Š‹Œ\x8dŽ\x8f\x90‘’“”•–—˜™š›œ\x9džŸ";

const BYTE_OF_CHARACTER: ReadonlyMap<string, number> = new Map([
  ...Array.from({ length: 128 }, (_, i) => [String.fromCharCode(0x80 + i), 0x80 + i] as const),
  ...Array.from(WINDOWS_1252, (character, i) => [character, 0x80 + i] as const),
]);

/** Characters that a UTF-8 sequence turns into when it is read as Windows-1252. */
const CONTINUATION = `[\\x80-\\xbf${WINDOWS_1252.replaceAll(/[\x80-\x9f]/g, "")}]`;
const MOJIBAKE = new RegExp(
  `[\\xc2-\\xdf]${CONTINUATION}|[\\xe0-\\xef]${CONTINUATION}{2}|[\\xf0-\\xf4]${CONTINUATION}{3}`,
  "g",
);

/**
 * What a two-byte sequence plausibly stood for: Latin, Greek, Cyrillic, Hebrew and Arabic letters, common signs. Others
 * (`É…` is U+0245, `É™` is U+0259) are more likely meant as they stand. Longer sequences are never accidents.
 */
const PLAUSIBLE =
  /^(?:[\u00a0-\u017f\u01a0\u01a1\u01af\u01b0\u02c6-\u02dd]|[\u0300-\u036f]|[\u0370-\u052f\u05b0-\u05ea\u060c-\u066f])$/u;

const LIGATURES: Readonly<Record<string, string>> = {
  Ĳ: "IJ",
  ĳ: "ij",
  ŉ: "ʼn",
  Ǳ: "DZ",
  ǲ: "Dz",
  ǳ: "dz",
  Ǆ: "DŽ",
  ǅ: "Dž",
  ǆ: "dž",
  Ǉ: "LJ",
  ǈ: "Lj",
  ǉ: "lj",
  Ǌ: "NJ",
  ǋ: "Nj",
  ǌ: "nj",
  ﬀ: "ff",
  ﬁ: "fi",
  ﬂ: "fl",
  ﬃ: "ffi",
  ﬄ: "ffl",
  ﬅ: "ſt",
  ﬆ: "st",
};

const LIGATURE = new RegExp(`[${Object.keys(LIGATURES).join("")}]`, "g");
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is removed
const TERMINAL_ESCAPE = /\x1b\[[\d;]*[a-zA-Z]/g;
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is removed
const CONTROL = /[\x00-\x08\x0b\x0e-\x1f\x7f\u206a-\u206f\ufeff\ufff9-\ufffc]/g;
const C1_CONTROL = /[\x80-\x9f]/g;
const LONE_SURROGATE = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

/**
 * The repaired text, in NFC. Line by line; character references are resolved until a `<` shows that the text is HTML
 * or code that means them.
 *
 * @example
 * ```ts
 * import { fixText } from "vans/text";
 * fixText("donâ€™t"); // => "don't"
 * ```
 */
export function fixText(text: string): string {
  let resolvesReferences = !text.includes("<");
  return text
    .split(/(?<=\n)/)
    .map((line) => {
      if (line.includes("<")) resolvesReferences = false;
      return fixLine(line, resolvesReferences);
    })
    .join("");
}

function fixLine(line: string, resolvesReferences: boolean): string {
  let current = line;
  for (;;) {
    const before = current;
    if (resolvesReferences) current = current.replaceAll(/&#?[0-9A-Za-z]{1,24};/g, resolveReference);
    current = fixMojibake(current)
      .replaceAll(C1_CONTROL, (character) => WINDOWS_1252[character.charCodeAt(0) - 0x80]!)
      .replaceAll(LIGATURE, (character) => LIGATURES[character]!)
      .replaceAll(/[\u3000\uff01-\uffef]/g, (character) =>
        character === "\u3000" ? " " : character.normalize("NFKC"),
      )
      .replaceAll(/[\u201c-\u201f]/g, '"')
      .replaceAll(/[\u02bc\u2018-\u201b]/g, "'")
      .replaceAll(/\r\n|[\r\u2028\u2029\x85]/g, "\n")
      .replaceAll(LONE_SURROGATE, "\ufffd")
      .replaceAll(TERMINAL_ESCAPE, "")
      .replaceAll(CONTROL, "")
      .normalize("NFC");
    if (current === before) return current;
  }
}

/** A reference that ends in a semicolon; names written in capitals throughout are read as their lower-case form. */
function resolveReference(reference: string): string {
  if (reference.startsWith("&#")) {
    const resolved = unescapeHtml(reference);
    return resolved.includes(";") ? reference : resolved;
  }
  const name = reference.slice(1, -1);
  const exact = HTML_ENTITIES.get(name);
  if (exact !== undefined) return exact;
  const lower = name === name.toUpperCase() ? HTML_ENTITIES.get(name.toLowerCase()) : undefined;
  return lower?.toUpperCase() ?? reference;
}

/** UTF-8 that was read as Latin-1 or Windows-1252, turned back, where the result is plausible. */
function fixMojibake(text: string): string {
  return text.replaceAll(MOJIBAKE, (sequence) => {
    const bytes = Uint8Array.from(sequence, (character) => BYTE_OF_CHARACTER.get(character)!);
    try {
      const character = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
      return sequence.length > 2 || PLAUSIBLE.test(character) ? character : sequence;
    } catch {
      return sequence;
    }
  });
}
