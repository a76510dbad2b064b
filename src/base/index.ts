/** The ground floor: errors, keys for random numbers, cancellation. @module */
export * from "./abort.ts";
export * from "./errors.ts";
export * from "./keys.ts";
