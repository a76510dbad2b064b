/**
 * The alphabet of byte-level BPE: one printable character for each byte (GPT-2's table).
 * @module
 */

/** Character of each byte: printable Latin-1 stays itself, the other 68 bytes become U+0100 and up, in order. */
export const CHARACTER_OF_BYTE: readonly string[] = (() => {
  let spare = 0x100;
  return Array.from({ length: 256 }, (_, byte) => {
    const isPrintable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    return String.fromCharCode(isPrintable ? byte : spare++);
  });
})();

const BYTE_OF_CHARACTER: ReadonlyMap<string, number> = new Map(
  CHARACTER_OF_BYTE.map((character, byte) => [character, byte]),
);

/** The text's UTF-8 bytes, written in the alphabet. */
export function toByteAlphabet(text: string): string {
  let out = "";
  for (const byte of new TextEncoder().encode(text)) out += CHARACTER_OF_BYTE[byte]!;
  return out;
}

/** The bytes that a string of the alphabet stands for; characters outside it stand for their own UTF-8 bytes. */
export function fromByteAlphabet(token: string): Uint8Array {
  const bytes: number[] = [];
  for (const character of token) {
    const byte = BYTE_OF_CHARACTER.get(character);
    if (byte === undefined) bytes.push(...new TextEncoder().encode(character));
    else bytes.push(byte);
  }
  return Uint8Array.from(bytes);
}
