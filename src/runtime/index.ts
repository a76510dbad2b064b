/** Compile and run graphs. @module */
export { type CompileOptions, compile, Executable, liveSessions } from "./executable.ts";
export { integerProductsSaturate } from "./integer-products.ts";
export { type Feeds, interpret, interpretExact } from "./interpreter.ts";
export { listProviders, type Provider, runtimeVersion } from "./ort.ts";
export { compileStateful, type State, StatefulExecutable } from "./stateful.ts";
