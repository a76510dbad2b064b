/**
 * The few protobuf messages of ONNX that we write. Field numbers are those of onnx/onnx.proto (ONNX 1.17, Apache-2.0).
 * Zero values are written, never dropped: `axis: 0` is not "no axis".
 * @module
 */
import type { OnnxAttribute } from "../op.ts";

/** A growing byte buffer with protobuf's primitives. */
class Writer {
  private bytes = new Uint8Array(1024);
  private length = 0;

  private reserve(extra: number): void {
    if (this.length + extra <= this.bytes.length) return;
    const larger = new Uint8Array(Math.max(this.bytes.length * 2, this.length + extra));
    larger.set(this.bytes.subarray(0, this.length));
    this.bytes = larger;
  }

  /** A varint; negative numbers as 64-bit two's complement, as int64 fields demand. */
  varint(value: number): void {
    this.reserve(10);
    if (value < 0) {
      let rest = BigInt.asUintN(64, BigInt(value));
      while (rest > 127n) {
        this.bytes[this.length++] = Number(rest & 127n) | 128;
        rest >>= 7n;
      }
      this.bytes[this.length++] = Number(rest);
      return;
    }
    let rest = value;
    while (rest > 127) {
      this.bytes[this.length++] = (rest % 128) | 128;
      rest = Math.floor(rest / 128);
    }
    this.bytes[this.length++] = rest;
  }

  int(field: number, value: number): void {
    this.varint(field * 8);
    this.varint(value);
  }

  float(field: number, value: number): void {
    this.varint(field * 8 + 5);
    this.rawFloat(value);
  }

  rawFloat(value: number): void {
    this.reserve(4);
    new DataView(this.bytes.buffer).setFloat32(this.length, value, true);
    this.length += 4;
  }

  raw(field: number, bytes: Uint8Array): void {
    this.varint(field * 8 + 2);
    this.varint(bytes.length);
    this.reserve(bytes.length);
    this.bytes.set(bytes, this.length);
    this.length += bytes.length;
  }

  text(field: number, value: string): void {
    this.raw(field, new TextEncoder().encode(value));
  }

  message(field: number, write: (inner: Writer) => void): void {
    const inner = new Writer();
    write(inner);
    this.raw(field, inner.finish());
  }

  finish(): Uint8Array {
    return this.bytes.subarray(0, this.length);
  }
}

/** Element types of ONNX tensors (TensorProto.DataType). */
export const ONNX_DTYPE = { f32: 1, u8: 2, i8: 3, i32: 6, i64: 7, bool: 9, f16: 10, bf16: 16 } as const;
export type OnnxDType = keyof typeof ONNX_DTYPE;

/** A node of the file. */
export interface NodeProto {
  readonly type: string;
  readonly domain: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: Readonly<Record<string, OnnxAttribute>>;
}

/** A constant of the file: bytes inside it, or a range of another file. */
export interface InitializerProto {
  readonly name: string;
  readonly dtype: OnnxDType;
  readonly shape: readonly number[];
  readonly data:
    | Uint8Array
    | { readonly location: string; readonly byteOffset: number; readonly byteLength: number };
}

/** An input or output of the graph. */
export interface ValueProto {
  readonly name: string;
  readonly dtype: OnnxDType;
  readonly shape: readonly number[];
}

/** A whole model. */
export interface ModelProto {
  readonly nodes: readonly NodeProto[];
  readonly initializers: readonly InitializerProto[];
  readonly inputs: readonly ValueProto[];
  readonly outputs: readonly ValueProto[];
  readonly opsets: readonly { readonly domain: string; readonly version: number }[];
  readonly irVersion: number;
}

function writeAttribute(writer: Writer, name: string, value: OnnxAttribute): void {
  writer.text(1, name);
  if ("int" in value) {
    writer.int(3, value.int);
    writer.int(20, 2);
  } else if ("float" in value) {
    writer.float(2, value.float);
    writer.int(20, 1);
  } else if ("text" in value) {
    writer.text(4, value.text);
    writer.int(20, 3);
  } else if ("ints" in value) {
    for (const item of value.ints) writer.int(8, item);
    writer.int(20, 7);
  } else {
    for (const item of value.floats) writer.float(7, item);
    writer.int(20, 6);
  }
}

function writeTensor(writer: Writer, tensor: InitializerProto): void {
  for (const axis of tensor.shape) writer.int(1, axis);
  writer.int(2, ONNX_DTYPE[tensor.dtype]);
  writer.text(8, tensor.name);
  if (tensor.data instanceof Uint8Array) {
    writer.raw(9, tensor.data);
    return;
  }
  const { location, byteOffset, byteLength } = tensor.data;
  const entries = { location, offset: String(byteOffset), length: String(byteLength) };
  for (const [key, value] of Object.entries(entries)) {
    writer.message(13, (entry) => {
      entry.text(1, key);
      entry.text(2, value);
    });
  }
  writer.int(14, 1);
}

function writeValue(writer: Writer, value: ValueProto): void {
  writer.text(1, value.name);
  writer.message(2, (type) => {
    type.message(1, (tensor) => {
      tensor.int(1, ONNX_DTYPE[value.dtype]);
      tensor.message(2, (shape) => {
        for (const axis of value.shape) shape.message(1, (dimension) => dimension.int(1, axis));
      });
    });
  });
}

/** The bytes of a model. */
export function encodeModel(model: ModelProto): Uint8Array {
  const writer = new Writer();
  writer.int(1, model.irVersion);
  writer.text(2, "vans");
  writer.message(7, (graph) => {
    for (const node of model.nodes) {
      graph.message(1, (inner) => {
        for (const name of node.inputs) inner.text(1, name);
        for (const name of node.outputs) inner.text(2, name);
        inner.text(4, node.type);
        for (const [name, value] of Object.entries(node.attributes))
          inner.message(5, (a) => writeAttribute(a, name, value));
        inner.text(7, node.domain);
      });
    }
    graph.text(2, "vans");
    for (const tensor of model.initializers) graph.message(5, (inner) => writeTensor(inner, tensor));
    for (const value of model.inputs) graph.message(11, (inner) => writeValue(inner, value));
    for (const value of model.outputs) graph.message(12, (inner) => writeValue(inner, value));
  });
  for (const { domain, version } of model.opsets) {
    writer.message(8, (opset) => {
      opset.text(1, domain);
      opset.int(2, version);
    });
  }
  return writer.finish();
}
