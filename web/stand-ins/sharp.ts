/** sharp, which no path of an answer in the browser reaches. @module */

export function sharp(): never {
  throw new Error("there is no sharp in a browser");
}

export default sharp;
