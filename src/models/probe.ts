/**
 * Looking into a model while it is traced.
 * @module
 */
import type { Tensor } from "../tensor/index.ts";

/** Receives named stage values, for comparison with references. */
export type Probe = (stage: string, value: Tensor) => void;
