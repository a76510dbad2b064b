/**
 * The two globals of Node that the answer's path reads. Imported before everything else.
 * @module
 */

const ENCODINGS = ["latin1", "base64", "utf8"] as const;

/** As much of Node's `Buffer` as is used: bytes from base64 or memory, and their text. */
class BytesWithText extends Uint8Array<ArrayBuffer> {
  override toString(encoding: (typeof ENCODINGS)[number] = "utf8"): string {
    if (encoding === "utf8") return new TextDecoder().decode(this);
    let text = "";
    for (let at = 0; at < this.length; at += 8192)
      text += String.fromCharCode(...this.subarray(at, at + 8192));
    return encoding === "base64" ? btoa(text) : text;
  }
}

function withText(bytes: Uint8Array<ArrayBuffer>): BytesWithText {
  return new BytesWithText(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function bytesFrom(
  source: string | ArrayBuffer | ArrayLike<number>,
  second?: string | number,
  length?: number,
): BytesWithText {
  if (source instanceof ArrayBuffer)
    return new BytesWithText(source, typeof second === "number" ? second : 0, length);
  if (typeof source !== "string") return withText(Uint8Array.from(source));
  if (second === "base64") return withText(Uint8Array.from(atob(source), (char) => char.charCodeAt(0)));
  return withText(new TextEncoder().encode(source));
}

Object.assign(globalThis, {
  process: { env: {}, version: "none", platform: "browser", arch: "wasm32", pid: 1, cwd: () => "/" },
  Buffer: {
    from: bytesFrom,
    alloc: (length: number, fill = 0) => withText(new Uint8Array(length).fill(fill)),
  },
});
