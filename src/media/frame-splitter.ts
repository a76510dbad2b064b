/**
 * A stream of bytes as frames of one size.
 * @module
 */

/** Cuts a stream of bytes into frames. */
export class FrameSplitter {
  readonly #size: number;
  readonly #onFrame: (bytes: Uint8Array) => void;
  #frame: Uint8Array;
  #filled = 0;

  constructor(size: number, onFrame: (bytes: Uint8Array) => void) {
    this.#size = size;
    this.#onFrame = onFrame;
    this.#frame = new Uint8Array(size);
  }

  push(chunk: Uint8Array): void {
    for (let at = 0; at < chunk.length; ) {
      const taken = Math.min(chunk.length - at, this.#size - this.#filled);
      this.#frame.set(chunk.subarray(at, at + taken), this.#filled);
      at += taken;
      this.#filled += taken;
      if (this.#filled === this.#size) {
        this.#onFrame(this.#frame);
        this.#frame = new Uint8Array(this.#size);
        this.#filled = 0;
      }
    }
  }
}
