/** Several clips on one timeline: they play, stop and are scrubbed together. @module */
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { PreviewStrip } from "../api.ts";
import { drawDifference, type Frames } from "./frames.ts";
import { Icon } from "./icons.tsx";
import { StripPlayer } from "./strip-player.tsx";

export interface SyncedVideo {
  readonly key: string;
  readonly title: string;
  /** Right of the title. */
  readonly note?: ComponentChildren;
  /** The clip, where there is one already. */
  readonly url?: string | undefined;
  /** A stack of equal frames in one picture, instead of a clip. */
  readonly stack?: { readonly url: string; readonly frames: number } | undefined;
  /** What there is of it so far. */
  readonly strip?: PreviewStrip | undefined;
  /** Why there is nothing to see. */
  readonly state?: string | undefined;
  /** Shown instead of the clip: where it differs from another. */
  readonly against?: { readonly own: Frames; readonly other: Frames } | undefined;
  readonly below?: ComponentChildren;
}

const SPEEDS = [1, 0.5, 0.25] as const;

/** Time at which a player comes to rest at the end before it begins again, in seconds. */
const REST_SECS = 0.8;

export function SyncedVideos({
  videos,
  frameRateHz,
  columns = 4,
  label = "Clips side by side",
  replays = 0,
}: {
  readonly videos: readonly SyncedVideo[];
  readonly frameRateHz: number;
  readonly columns?: number;
  readonly label?: string;
  /** Each higher number plays all from the start. */
  readonly replays?: number;
}) {
  const replayed = useRef(replays);
  const elements = useRef(new Map<string, HTMLVideoElement>());
  const [time, setTime] = useState(0);
  const [length, setLength] = useState(1);
  const [speed, setSpeed] = useState<(typeof SPEEDS)[number]>(1);
  const [isPlaying, setPlaying] = useState(!matchMedia("(prefers-reduced-motion: reduce)").matches);
  const frame = Math.round(time * frameRateHz);
  const hasTime = videos.some(({ url, stack }) => url !== undefined || stack !== undefined);
  const stacks = videos.map(({ stack }) => stack?.frames ?? 0).join();

  const seek = (to: number): void => {
    for (const video of elements.current.values()) {
      const end = Math.max(0, (video.duration || 0) - 0.5 / frameRateHz);
      // The middle of a frame: its exact start may round to the one before.
      const wanted = Math.min(to + 0.5 / frameRateHz, end);
      if (Math.abs(video.currentTime - wanted) > 0.25 / frameRateHz) video.currentTime = wanted;
    }
    setTime(to);
  };
  const measure = (): void => {
    const secs = [...elements.current.values()].map(({ duration }) => duration || 0);
    for (const { stack } of videos) secs.push((stack?.frames ?? 0) / frameRateHz);
    setLength(Math.max(2 / frameRateHz, ...secs) - 1 / frameRateHz);
  };
  useEffect(measure, [stacks]);
  useEffect(() => {
    if (!isPlaying) return;
    let handle = 0;
    let last = performance.now();
    let at = time >= length || replayed.current !== replays ? 0 : time;
    replayed.current = replays;
    const tick = (now: number): void => {
      at += ((now - last) / 1000) * speed;
      last = now;
      if (at > length + REST_SECS) at = 0;
      seek(Math.floor(Math.min(at, length) * frameRateHz + 1e-6) / frameRateHz);
      handle = requestAnimationFrame(tick);
    };
    handle = requestAnimationFrame(tick);
    return () => cancelAnimationFrame(handle);
  }, [isPlaying, length, speed, frameRateHz, replays]);
  useEffect(() => {
    if (replays > 0) setPlaying(true);
  }, [replays]);

  const step = (frames: number): void => {
    setPlaying(false);
    seek(Math.max(0, Math.min(length, (frame + frames) / frameRateHz)));
  };
  const onKey = (event: KeyboardEvent): void => {
    if (
      event.target instanceof HTMLElement &&
      event.target.closest("button, a, input, select, textarea, summary")
    )
      return;
    if (event.key === " ") setPlaying(!isPlaying);
    else if (event.key === "ArrowLeft") step(-1);
    else if (event.key === "ArrowRight") step(1);
    else return;
    event.preventDefault();
  };
  return (
    <section class="synced" aria-label={label} onKeyDown={onKey}>
      <div
        class={`grid${videos.length > 2 ? " many" : ""}`}
        style={{ "--columns": Math.min(videos.length, columns) }}
      >
        {videos.map((one) => (
          <figure key={one.key}>
            <div class="tile">
              {one.url !== undefined ? (
                <video
                  class="video"
                  src={one.url}
                  muted
                  playsInline
                  preload="auto"
                  aria-label={one.title}
                  ref={(element) => {
                    if (element) elements.current.set(one.key, element);
                    else elements.current.delete(one.key);
                  }}
                  onLoadedMetadata={measure}
                />
              ) : one.stack ? (
                <Stack {...one.stack} frame={frame} label={one.title} />
              ) : one.strip ? (
                <StripPlayer strip={one.strip} label={`${one.title}, sharpening`} />
              ) : (
                <div class={`video blank${one.state === undefined ? " pulse" : ""}`}>{one.state}</div>
              )}
              {one.against && (
                <Difference {...one.against} frame={frame} label={`${one.title}: where it differs`} />
              )}
            </div>
            <figcaption>
              <b>{one.title}</b>
              {one.note !== undefined && <span>{one.note}</span>}
            </figcaption>
            {one.below}
          </figure>
        ))}
      </div>
      <div class="transport" hidden={!hasTime}>
        <button
          type="button"
          class="round"
          onClick={() => setPlaying(!isPlaying)}
          aria-label={isPlaying ? "Pause" : "Play"}
        >
          <Icon name={isPlaying ? "pause" : "play"} />
        </button>
        <button type="button" class="quiet" onClick={() => step(-1)} aria-label="One frame back">
          <Icon name="back" />
        </button>
        <input
          type="range"
          class="scrub"
          min={0}
          max={length}
          step={1 / frameRateHz}
          value={Math.min(time, length)}
          style={{ "--share": Math.min(1, time / length) }}
          aria-label="Time in all clips"
          aria-valuetext={`${time.toFixed(2)} seconds, frame ${frame + 1}`}
          onInput={(event) => {
            setPlaying(false);
            seek(Number(event.currentTarget.value));
          }}
        />
        <button type="button" class="quiet" onClick={() => step(1)} aria-label="One frame on">
          <Icon name="on" />
        </button>
        <output class="time">
          {time.toFixed(2)} s<span class="muted"> · {frame + 1}</span>
        </output>
        <button
          type="button"
          class="quiet speed"
          aria-label={`Speed ${speed} of 1`}
          onClick={() => setSpeed(SPEEDS[(SPEEDS.indexOf(speed) + 1) % SPEEDS.length]!)}
        >
          {speed === 1 ? "1×" : speed === 0.5 ? "½×" : "¼×"}
        </button>
      </div>
    </section>
  );
}

/** One frame out of a stack of frames. */
function Stack({
  url,
  frames,
  frame,
  label,
}: {
  readonly url: string;
  readonly frames: number;
  readonly frame: number;
  readonly label: string;
}) {
  const share = frames > 1 ? Math.min(frame, frames - 1) / (frames - 1) : 0;
  return (
    <div
      class="video stack"
      role="img"
      aria-label={label}
      style={{
        backgroundImage: `url("${url}")`,
        backgroundSize: `100% ${frames * 100}%`,
        backgroundPosition: `0 ${share * 100}%`,
      }}
    />
  );
}

function Difference({
  own,
  other,
  frame,
  label,
}: {
  readonly own: Frames;
  readonly other: Frames;
  readonly frame: number;
  readonly label: string;
}) {
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    if (canvas.current) drawDifference(canvas.current, own, other, frame);
  }, [own, other, frame]);
  return <canvas ref={canvas} class="video difference" role="img" aria-label={label} />;
}
