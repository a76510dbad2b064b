/**
 * The package's own door: errors with codes, and keys for random numbers. Everything else has a door of its own
 * (`vans/tensor`, `vans/answer`, …).
 * @module
 */
export * from "./base/errors.ts";
export * from "./base/keys.ts";
