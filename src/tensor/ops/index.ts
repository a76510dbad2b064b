/** All ops by name. @module */
export * from "./activation.ts";
export * from "./after.ts";
export * from "./attention.ts";
export * from "./conv.ts";
export * from "./cutting.ts";
export * from "./elementwise.ts";
export * from "./indexing.ts";
export * from "./layout.ts";
export * from "./leaf.ts";
export * from "./matmul.ts";
export * from "./norm.ts";
export * from "./reduce.ts";
export * from "./softmax.ts";
