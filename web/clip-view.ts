/**
 * Two clips on one clock: frames drawn on canvases, played, scrubbed.
 * @module
 */
import type { Clip } from "../src/media/clip.ts";

/** Draws frame `index` of a clip; past the end its last frame stays. */
export function drawFrame(canvas: HTMLCanvasElement, clip: Clip, index: number): void {
  const { height, width, rgb, frameCount } = clip;
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const pixels = new ImageData(width, height);
  const from = Math.min(index, frameCount - 1) * height * width * 3;
  for (let i = 0; i < height * width; i++) {
    pixels.data[4 * i] = rgb[from + 3 * i]!;
    pixels.data[4 * i + 1] = rgb[from + 3 * i + 1]!;
    pixels.data[4 * i + 2] = rgb[from + 3 * i + 2]!;
    pixels.data[4 * i + 3] = 255;
  }
  canvas.getContext("2d")!.putImageData(pixels, 0, 0);
}

/** The parts of the page that a player drives. */
export interface PlayerParts {
  readonly input: HTMLCanvasElement;
  readonly answer: HTMLCanvasElement;
  readonly play: HTMLButtonElement;
  readonly scrub: HTMLInputElement;
  readonly time: HTMLElement;
}

/** Shows an input and an answer side by side, at the same moment. */
export class ClipPlayer {
  readonly #parts: PlayerParts;
  #input: Clip | undefined;
  #answer: Clip | undefined;
  #frame = 0;
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(parts: PlayerParts) {
    this.#parts = parts;
    parts.play.addEventListener("click", () => (this.#timer === undefined ? this.play() : this.pause()));
    parts.scrub.addEventListener("input", () => {
      this.pause();
      this.#show(Number(parts.scrub.value));
    });
  }

  /** Shows another input; what was answered before goes away. */
  setInput(clip: Clip): void {
    this.#input = clip;
    this.setAnswer(undefined);
    this.#show(0);
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) this.pause();
    else this.play();
  }

  /** Shows an answer, or how far it is. */
  setAnswer(clip: Clip | undefined): void {
    this.#answer = clip;
    const { answer } = this.#parts;
    if (!clip) answer.getContext("2d")!.clearRect(0, 0, answer.width, answer.height);
    this.#show(this.#frame);
  }

  play(): void {
    clearInterval(this.#timer);
    const rateHz = this.#input?.frameRateHz ?? 8;
    this.#timer = setInterval(() => this.#show((this.#frame + 1) % this.#length), 1000 / rateHz);
    this.#label("Pause", "❚❚");
  }

  pause(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#label("Play", "▶");
  }

  get #length(): number {
    return Math.max(this.#input?.frameCount ?? 1, this.#answer?.frameCount ?? 1);
  }

  #label(name: string, sign: string): void {
    this.#parts.play.setAttribute("aria-label", name);
    this.#parts.play.textContent = sign;
  }

  #show(frame: number): void {
    const { input, answer, scrub, time } = this.#parts;
    this.#frame = frame;
    if (this.#input) drawFrame(input, this.#input, frame);
    if (this.#answer) {
      // A preview has fewer frames, and pixels, than what it becomes; it is stretched over the same time.
      const isPreview = this.#input !== undefined && this.#answer.width < this.#input.width;
      const index = isPreview ? Math.floor((frame * this.#answer.frameCount) / this.#length) : frame;
      drawFrame(answer, this.#answer, index);
      answer.classList.toggle("soft", isPreview);
    }
    scrub.max = String(this.#length - 1);
    scrub.value = String(frame);
    const secs = frame / (this.#input?.frameRateHz ?? 8);
    time.textContent = `${secs.toFixed(2)} s`;
    scrub.setAttribute("aria-valuetext", `${secs.toFixed(2)} seconds`);
  }
}
