/**
 * Half-type weights as f32: the browser's runtime for WebGPU has no kernel that widens bf16.
 * @module
 */
import { float32FromBf16, float32FromF16 } from "../src/weights/half.ts";

interface Entry {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data_offsets: readonly [number, number];
}

/** A safetensors file with BF16 and F16 tensors written as F32. */
export function widenWeights(file: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const headerBytes = Number(new DataView(file.buffer, file.byteOffset).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(file.subarray(8, 8 + headerBytes))) as Record<string, Entry>;
  const { __metadata__: metadata, ...entries } = header;
  const parts: Uint8Array[] = [];
  const widened: Record<string, unknown> = metadata === undefined ? {} : { __metadata__: metadata };
  let at = 0;
  const inOrder = Object.entries(entries).sort(([, a], [, b]) => a.data_offsets[0] - b.data_offsets[0]);
  for (const [name, { dtype, shape, data_offsets: [from, to] }] of inOrder) {
    const bytes = file.slice(8 + headerBytes + from, 8 + headerBytes + to);
    const wide =
      dtype === "BF16" ? float32FromBf16(new Uint16Array(bytes.buffer))
      : dtype === "F16" ? float32FromF16(new Uint16Array(bytes.buffer))
      : bytes;
    const part = new Uint8Array(wide.buffer, wide.byteOffset, wide.byteLength);
    const isHalf = dtype === "BF16" || dtype === "F16";
    widened[name] = { dtype: isHalf ? "F32" : dtype, shape, data_offsets: [at, at + part.length] };
    parts.push(part);
    at += part.length;
  }
  const text = JSON.stringify(widened);
  // Tensors start at a multiple of 8 bytes, as the format's own writer has them.
  const head = new TextEncoder().encode(text.padEnd(Math.ceil(text.length / 8) * 8));
  const out = new Uint8Array(8 + head.length + at);
  new DataView(out.buffer).setBigUint64(0, BigInt(head.length), true);
  out.set(head, 8);
  let to = 8 + head.length;
  for (const part of parts) {
    out.set(part, to);
    to += part.length;
  }
  return out;
}
