/**
 * Reads back the parts of an ONNX file that we write, for tests. Field numbers: onnx/onnx.proto.
 * @module
 */

/** A field of a message: a number (varint, fixed32 bits) or bytes. */
type Field = readonly [number: number, value: number | bigint | Uint8Array];

function* fields(bytes: Uint8Array): Generator<Field> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  const varint = (): bigint => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes[at++]!;
      value |= BigInt(byte & 127) << shift;
      if (byte < 128) return BigInt.asIntN(64, value);
    }
  };
  while (at < bytes.length) {
    const tag = Number(varint());
    const kind = tag & 7;
    if (kind === 0) yield [tag >> 3, varint()];
    else if (kind === 2) {
      const length = Number(varint());
      yield [tag >> 3, bytes.subarray(at, at + length)];
      at += length;
    } else if (kind === 5) {
      yield [tag >> 3, view.getFloat32(at, true)];
      at += 4;
    } else throw new Error(`wire type ${kind}`);
  }
}

const all = (bytes: Uint8Array, number: number): (number | bigint | Uint8Array)[] =>
  [...fields(bytes)].filter(([n]) => n === number).map(([, value]) => value);
const texts = (bytes: Uint8Array, number: number): string[] =>
  all(bytes, number).map((value) => new TextDecoder().decode(value as Uint8Array));
const messages = (bytes: Uint8Array, number: number): Uint8Array[] => all(bytes, number) as Uint8Array[];

/** A node as written. */
export interface ReadNode {
  readonly type: string;
  readonly domain: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: Readonly<Record<string, bigint | number | string | readonly bigint[]>>;
}

/** A constant or weight as written. */
export interface ReadInitializer {
  readonly name: string;
  readonly dims: readonly number[];
  readonly dataType: number;
  readonly raw: Uint8Array | undefined;
  readonly external: Readonly<Record<string, string>> | undefined;
}

/** What a model file holds. */
export interface ReadModel {
  readonly nodes: readonly ReadNode[];
  readonly initializers: readonly ReadInitializer[];
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
}

function readAttribute(bytes: Uint8Array): [string, bigint | number | string | readonly bigint[]] {
  const [name] = texts(bytes, 1);
  const kind = Number(all(bytes, 20)[0]);
  if (kind === 1) return [name!, all(bytes, 2)[0] as number];
  if (kind === 2) return [name!, all(bytes, 3)[0] as bigint];
  if (kind === 3) return [name!, texts(bytes, 4)[0]!];
  return [name!, all(bytes, 8) as bigint[]];
}

function readInitializer(bytes: Uint8Array): ReadInitializer {
  const entries = messages(bytes, 13).map((e) => [texts(e, 1)[0]!, texts(e, 2)[0]!] as const);
  return {
    name: texts(bytes, 8)[0]!,
    dims: all(bytes, 1).map(Number),
    dataType: Number(all(bytes, 2)[0]),
    raw: messages(bytes, 9)[0],
    external: entries.length > 0 ? Object.fromEntries(entries) : undefined,
  };
}

/** Reads a model file. */
export function readOnnx(bytes: Uint8Array): ReadModel {
  const graph = messages(bytes, 7)[0]!;
  return {
    nodes: messages(graph, 1).map((node) => ({
      type: texts(node, 4)[0]!,
      domain: texts(node, 7)[0] ?? "",
      inputs: texts(node, 1),
      outputs: texts(node, 2),
      attributes: Object.fromEntries(messages(node, 5).map(readAttribute)),
    })),
    initializers: messages(graph, 5).map(readInitializer),
    inputs: messages(graph, 11).map((value) => texts(value, 1)[0]!),
    outputs: messages(graph, 12).map((value) => texts(value, 1)[0]!),
  };
}

/** How many nodes of each type a model has; copies that only give an output its name do not count. */
export function countTypes(model: ReadModel): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { type } of model.nodes) if (type !== "Identity") counts[type] = (counts[type] ?? 0) + 1;
  return counts;
}
