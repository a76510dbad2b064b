/**
 * Geometry of a convolution and of its two gradients.
 * @module
 */
import type { Shape } from "../types.ts";

/** Geometry of a convolution; one entry a spatial axis. */
export interface ConvGeometry {
  readonly strides: readonly number[];
  readonly padsBefore: readonly number[];
  readonly padsAfter: readonly number[];
}

/** What the gradient for the input needs to know beside its inputs. */
export interface InputGradientAttrs extends ConvGeometry {
  /** Spatial shape of the convolution's input. */
  readonly spatial: Shape;
}

/** What the gradient for the weight needs to know beside its inputs. */
export interface WeightGradientAttrs extends ConvGeometry {
  readonly kernel: Shape;
}

/** The spatial axes of `[N, C, ...spatial]` or `[O, C, ...kernel]`. */
export const spatialOf = (shape: Shape): Shape => shape.slice(2);
