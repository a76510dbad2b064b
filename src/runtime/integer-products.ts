/**
 * Whether the runtime's products of 8-bit activations with 8-bit weights are exact on this processor.
 * @module
 */
import { IR_VERSION, OPSETS } from "../tensor/onnx/lower.ts";
import { encodeModel } from "../tensor/onnx/protobuf.ts";
import { createSession, toDevice } from "./ort.ts";

let known: Promise<boolean> | undefined;

/**
 * True where sums of two products of a byte and a signed byte are cut off at 16 bits: x86 processors without VNNI
 * (`vpmaddubsw`; the runtime's documentation calls it the saturation issue of U8S8 and advises weights of 7 bits). Found by
 * trying it once a process.
 *
 * @example
 * ```ts
 * import { integerProductsSaturate } from "vans/runtime";
 * typeof (await integerProductsSaturate()); // => "boolean"
 * ```
 */
export function integerProductsSaturate(): Promise<boolean> {
  known ??= probe();
  return known;
}

async function probe(): Promise<boolean> {
  const [width, columns] = [64, 16];
  const bytes = encodeModel({
    nodes: [
      {
        type: "DynamicQuantizeMatMul",
        domain: "com.microsoft",
        inputs: ["x", "weight", "scales"],
        outputs: ["y"],
        attributes: {},
      },
    ],
    initializers: [
      {
        name: "weight",
        dtype: "i8",
        shape: [width, columns],
        data: new Uint8Array(width * columns).fill(127),
      },
      {
        name: "scales",
        dtype: "f32",
        shape: [columns],
        data: new Uint8Array(new Float32Array(columns).fill(1 / 127).buffer),
      },
    ],
    inputs: [{ name: "x", dtype: "f32", shape: [1, width] }],
    outputs: [{ name: "y", dtype: "f32", shape: [1, columns] }],
    opsets: OPSETS,
    irVersion: IR_VERSION,
  });
  const session = await createSession(bytes, { provider: "cpu", threads: 1 });
  // Ones are the largest byte, 255, beside the largest weight, 127: two products are 64,770, and 16 bits end at 32,767.
  const ones = toDevice({ dtype: "f32", shape: [1, width], data: new Float32Array(width).fill(1) });
  const { y } = await session.run({ x: ones }, { y: null });
  const value = (y!.data as Float32Array)[0]!;
  await session.release();
  return value < 0.9 * width;
}
