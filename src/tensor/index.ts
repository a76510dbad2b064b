/**
 * Symbolic tensors: trace, differentiate, lower. Knows no runtime and no files.
 * @module
 */
// Types and plain arrays

export { grad } from "./grad.ts";
// Graphs
export { Node, reachableNodes, remat, Tensor } from "./graph.ts";
// Lowering
export {
  type FileWeight,
  type LoweredGraph,
  type LowerOptions,
  lower,
  type WeightBinding,
} from "./onnx/lower.ts";
export { type FileRange, isQuantized, type QuantizedWeight } from "./onnx/weight-product.ts";
export { definedOps, type OnnxEmitter, type OpDefinition, type Target, type Value } from "./op.ts";
// Ops
export * from "./ops/index.ts";
export { printGraph, printNode } from "./print.ts";
export { broadcastShapes } from "./shape.ts";
export {
  bool,
  type DType,
  f32,
  formatShape,
  i32,
  type NdArray,
  type Shape,
  type StoredDType,
  sameShape,
  sizeOf,
  type TensorType,
} from "./types.ts";
export { verify } from "./verify.ts";
