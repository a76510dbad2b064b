/**
 * Writing safetensors files larger than memory: the header first, then one tensor after the other as it is made.
 * @module
 */
import { VansError } from "../base/errors.ts";
import { writeFileAtomically } from "./atomic-file.ts";
import { BYTES_OF_DTYPE, elementCount, type StoredDtype } from "./tensor-data.ts";

/** A tensor that is going to be written. */
export interface PlannedTensor {
  readonly name: string;
  readonly dtype: StoredDtype;
  readonly shape: readonly number[];
}

/** Bytes of a tensor, whole or in parts. */
export type TensorBytes = Uint8Array | Iterable<Uint8Array> | AsyncIterable<Uint8Array>;

/**
 * The header of a safetensors file with these tensors, in this order, padded so that the data begins at a multiple of 64
 * bytes.
 */
export function safetensorsHead(
  plan: readonly PlannedTensor[],
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array {
  const entries: [string, unknown][] = Object.keys(metadata).length > 0 ? [["__metadata__", metadata]] : [];
  let end = 0;
  for (const { name, dtype, shape } of plan) {
    const start = end;
    end += elementCount(shape) * BYTES_OF_DTYPE[dtype];
    entries.push([name, { dtype, shape, data_offsets: [start, end] }]);
  }
  const text = `{${entries.map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`).join(",")}}`;
  const json = new TextEncoder().encode(text);
  const length = Math.ceil((8 + json.length) / 64) * 64 - 8;
  const head = new Uint8Array(8 + length).fill(0x20);
  new DataView(head.buffer).setBigUint64(0, BigInt(length), true);
  head.set(json, 8);
  return head;
}

/**
 * Writes a safetensors file tensor by tensor, atomically. Tensors are written in the order given, so put those with
 * larger elements first: each then lies at a multiple of its element size and can be mapped.
 *
 * @throws `VANS_WEIGHTS_SHAPE_MISMATCH` where a tensor's bytes do not have the size of its shape
 */
export async function writeSafetensorsStream(
  path: string,
  plan: readonly PlannedTensor[],
  bytesOf: (tensor: PlannedTensor) => TensorBytes | Promise<TensorBytes>,
  { metadata = {} }: { readonly metadata?: Readonly<Record<string, string>> } = {},
): Promise<void> {
  await writeFileAtomically(path, async (file) => {
    await file.appendFile(safetensorsHead(plan, metadata));
    for (const tensor of plan) {
      const given = await bytesOf(tensor);
      let written = 0;
      for await (const part of given instanceof Uint8Array ? [given] : given) {
        for (let done = 0; done < part.length; ) {
          const { bytesWritten } = await file.write(part, done, Math.min(part.length - done, 2 ** 30));
          done += bytesWritten;
        }
        written += part.length;
      }
      const asked = elementCount(tensor.shape) * BYTES_OF_DTYPE[tensor.dtype];
      if (written !== asked)
        throw new VansError(
          "VANS_WEIGHTS_SHAPE_MISMATCH",
          `tensor ${tensor.name} for ${path} does not fit its shape`,
          {
            asked: `${asked} bytes`,
            found: `${written} bytes`,
          },
        );
    }
  });
}
