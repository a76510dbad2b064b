/** Plays a strip of small frames, enlarged: an answer that is still sharpening. @module */
import { useEffect, useRef } from "preact/hooks";
import type { PreviewStrip } from "../api.ts";

const FRAME_MS = 220;

export function StripPlayer({ strip, label }: { readonly strip: PreviewStrip; readonly label: string }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    const context = canvas.current?.getContext("2d");
    if (!context) return;
    const picture = new Image();
    let frame = 0;
    let timer: ReturnType<typeof setInterval> | undefined;
    const draw = (): void => {
      context.drawImage(
        picture,
        frame * strip.width,
        0,
        strip.width,
        strip.height,
        0,
        0,
        strip.width,
        strip.height,
      );
      frame = (frame + 1) % strip.frames;
    };
    picture.onload = () => {
      const isCalm = matchMedia("(prefers-reduced-motion: reduce)").matches;
      frame = isCalm ? strip.frames - 1 : 0;
      draw();
      if (!isCalm) timer = setInterval(draw, FRAME_MS);
    };
    picture.src = strip.url;
    return () => clearInterval(timer);
  }, [strip]);
  return (
    <canvas
      ref={canvas}
      class="video soft"
      width={strip.width}
      height={strip.height}
      role="img"
      aria-label={label}
    />
  );
}
