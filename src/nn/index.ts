/** Layers, parameters, optimizers, the training step. @module */
export { type LinearOptions, linear } from "./linear.ts";
export * from "./optimizer.ts";
export { type LoraOptions, type ParamRegistry, Params } from "./params.ts";
export * from "./schedule.ts";
export * from "./train-step.ts";
