/**
 * Scalars as TensorBoard event files: TFRecord framing with masked CRC-32C, `Event` and `Summary` messages.
 *
 * Field numbers: tensorflow/core/util/event.proto and framework/summary.proto; framing: tensorflow/core/lib/io/record_writer.cc.
 * @module
 */
import { type FileHandle, open } from "node:fs/promises";
import { join } from "node:path";

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  let c = n;
  for (let k = 0; k < 8; k++) c = c & 1 ? (c >>> 1) ^ 0x82f63b78 : c >>> 1;
  return c >>> 0;
});

/** CRC-32C (Castagnoli). */
export function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = CRC_TABLE[(crc ^ byte) & 0xff]! ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

function maskedCrc(bytes: Uint8Array): number {
  const crc = crc32c(bytes);
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}

function varint(value: number): number[] {
  const out: number[] = [];
  let rest = value;
  while (rest > 127) {
    out.push((rest % 128) | 128);
    rest = Math.floor(rest / 128);
  }
  return [...out, rest];
}

function delimited(field: number, bytes: ArrayLike<number>): number[] {
  return [...varint(field * 8 + 2), ...varint(bytes.length), ...Array.from(bytes)];
}

function fixed(field: number, value: number, bytes: 4 | 8): number[] {
  const view = new DataView(new ArrayBuffer(bytes));
  if (bytes === 4) view.setFloat32(0, value, true);
  else view.setFloat64(0, value, true);
  return [...varint(field * 8 + (bytes === 4 ? 5 : 1)), ...new Uint8Array(view.buffer)];
}

const text = (value: string): Uint8Array => new TextEncoder().encode(value);

/** One record of an event file. */
export function frameRecord(data: Uint8Array): Uint8Array {
  const out = new Uint8Array(data.length + 16);
  const view = new DataView(out.buffer);
  view.setBigUint64(0, BigInt(data.length), true);
  view.setUint32(8, maskedCrc(out.subarray(0, 8)), true);
  out.set(data, 12);
  view.setUint32(12 + data.length, maskedCrc(data), true);
  return out;
}

/** Writes scalars that TensorBoard reads. */
export class TensorBoardWriter {
  private readonly file: FileHandle;

  private constructor(file: FileHandle) {
    this.file = file;
  }

  /** Opens a new event file in a folder. */
  static async open(folder: string): Promise<TensorBoardWriter> {
    const seconds = Math.floor(Date.now() / 1000);
    const writer = new TensorBoardWriter(
      await open(join(folder, `events.out.tfevents.${seconds}.${process.pid}.vans`), "a"),
    );
    await writer.write([...fixed(1, seconds, 8), ...delimited(3, text("brain.Event:2"))]);
    return writer;
  }

  private async write(event: readonly number[]): Promise<void> {
    await this.file.write(frameRecord(Uint8Array.from(event)));
  }

  /** Scalars at a step. */
  async scalars(step: number, values: Readonly<Record<string, number>>): Promise<void> {
    const summary = Object.entries(values).flatMap(([tag, value]) =>
      delimited(1, [...delimited(1, text(tag)), ...fixed(2, value, 4)]),
    );
    await this.write([
      ...fixed(1, Date.now() / 1000, 8),
      ...varint(16),
      ...varint(step),
      ...delimited(5, summary),
    ]);
  }

  async close(): Promise<void> {
    await this.file.close();
  }
}
