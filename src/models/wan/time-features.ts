/**
 * Sinusoidal features of the timestep, exact to f32 inside the graph.
 * @module
 */
import {
  add,
  concat,
  constant,
  cos,
  f32,
  floor,
  mul,
  reshape,
  sin,
  sub,
  type Tensor,
} from "../../tensor/index.ts";

/** Base of the geometric series of frequencies (Wan2.1 `sinusoidal_embedding_1d`). */
const PERIOD = 10000;

/** Rounds to `bits` significant bits. */
function roundTo(value: number, bits: number): number {
  const step = 2 ** (Math.floor(Math.log2(Math.abs(value))) + 1 - bits);
  return Math.round(value / step) * step;
}

// 12 bits times a whole number below 2^11 is exact in f32.
const TURN = 2 * Math.PI;
const TURN_HIGH = roundTo(TURN, 12);
const TURN_LOW = TURN - TURN_HIGH;

/**
 * `[cos(t·ω), sin(t·ω)]` with ω_i = 10000^(-i / half), half = `width` / 2.
 *
 * The reference computes the angle in f64; in f32 an angle near 1000 is off by up to 6e-5. So the product is split:
 * the whole part of t times the high bits of ω is exact, full turns are taken off it exactly, and only numbers of
 * the size of a turn are rounded.
 * @param timestep `[B]`, 0 … 1000
 * @returns `[B, width]`, within 1e-6 of the f64 values
 */
export function timeFeatures(timestep: Tensor, width: number): Tensor {
  const half = width / 2;
  const frequencies = Array.from({ length: half }, (_, i) => PERIOD ** (-i / half));
  const high = frequencies.map((value) => roundTo(value, 12));
  const row = (values: readonly number[]): Tensor => constant(f32(values, [1, half]));
  const t = reshape(timestep, [timestep.size(0), 1]);
  const whole = floor(t);
  const coarse = mul(whole, row(high));
  const turns = floor(mul(coarse, 1 / TURN));
  const reduced = sub(sub(coarse, mul(turns, TURN_HIGH)), mul(turns, TURN_LOW));
  const fine = add(
    mul(whole, row(frequencies.map((value, i) => value - high[i]!))),
    mul(sub(t, whole), row(frequencies)),
  );
  const angle = add(reduced, fine);
  return concat([cos(angle), sin(angle)], 1);
}
