/**
 * Numbers on the command line.
 * @module
 */
import { InvalidArgumentError } from "@commander-js/extra-typings";

/** A parser of whole numbers within bounds. */
export function wholeNumber(least: number, most: number = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= least && value <= most) return value;
    const bounds = most === Number.MAX_SAFE_INTEGER ? `from ${least} on` : `from ${least} to ${most}`;
    throw new InvalidArgumentError(`Give a whole number ${bounds}.`);
  };
}

/** A parser of numbers from `least` on. */
export function decimalNumber(least: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() !== "" && Number.isFinite(value) && value >= least) return value;
    throw new InvalidArgumentError(`Give a number from ${least} on.`);
  };
}
