/** Several clips on one timeline: they play, stop and are scrubbed together. @module */
import { useEffect, useRef, useState } from "preact/hooks";

export interface SyncedVideo {
  readonly url: string;
  readonly title: string;
  readonly note?: string;
}

export function SyncedVideos({
  videos,
  frameRateHz,
  autoplay = true,
}: {
  readonly videos: readonly SyncedVideo[];
  readonly frameRateHz: number;
  readonly autoplay?: boolean;
}) {
  const elements = useRef(new Map<string, HTMLVideoElement>());
  const [time, setTime] = useState(0);
  const [length, setLength] = useState(1);
  const [isPlaying, setPlaying] = useState(autoplay && !matchMedia("(prefers-reduced-motion: reduce)").matches);
  const key = videos.map(({ url }) => url).join(" ");

  const seek = (to: number): void => {
    for (const video of elements.current.values()) {
      const end = Math.max(0, (video.duration || 0) - 0.5 / frameRateHz);
      // The middle of a frame: its exact start may round to the one before.
      const wanted = Math.min(to + 0.5 / frameRateHz, end);
      if (Math.abs(video.currentTime - wanted) > 0.25 / frameRateHz) video.currentTime = wanted;
    }
    setTime(to);
  };
  useEffect(() => {
    setTime(0);
    setPlaying(autoplay && !matchMedia("(prefers-reduced-motion: reduce)").matches);
  }, [key, autoplay]);
  useEffect(() => {
    if (!isPlaying) return;
    let handle = 0;
    let last = performance.now();
    let at = time >= length ? 0 : time;
    const tick = (now: number): void => {
      at += (now - last) / 1000;
      last = now;
      // A short rest at the end, then from the start.
      if (at > length + 0.8) at = 0;
      const frame = Math.floor(Math.min(at, length) * frameRateHz) / frameRateHz;
      seek(frame);
      handle = requestAnimationFrame(tick);
    };
    handle = requestAnimationFrame(tick);
    return () => cancelAnimationFrame(handle);
  }, [isPlaying, length, key]);

  const step = (frames: number): void => {
    setPlaying(false);
    seek(Math.max(0, Math.min(length, Math.round(time * frameRateHz + frames) / frameRateHz)));
  };
  const onKey = (event: KeyboardEvent): void => {
    if (event.key === " " && !(event.target instanceof HTMLButtonElement)) {
      event.preventDefault();
      setPlaying(!isPlaying);
    }
  };
  return (
    <section class="synced" aria-label="Clips side by side" onKeyDown={onKey}>
      <div class="grid" style={{ "--columns": Math.min(videos.length, 4) }}>
        {videos.map(({ url, title, note }) => (
          <figure key={`${title} ${url}`}>
            <video
              class="video"
              src={url}
              muted
              playsInline
              preload="auto"
              aria-label={title}
              ref={(element) => {
                if (element) elements.current.set(`${title} ${url}`, element);
                else elements.current.delete(`${title} ${url}`);
              }}
              onLoadedMetadata={() =>
                setLength(
                  Math.max(0.1, ...[...elements.current.values()].map(({ duration }) => duration || 0)) - 1 / frameRateHz,
                )
              }
            />
            <figcaption>
              <b>{title}</b>
              {note && <span>{note}</span>}
            </figcaption>
          </figure>
        ))}
      </div>
      <div class="transport">
        <button type="button" class="round" onClick={() => setPlaying(!isPlaying)} aria-label={isPlaying ? "Pause" : "Play"}>
          {isPlaying ? "❚❚" : "▶"}
        </button>
        <button type="button" class="quiet" onClick={() => step(-1)} aria-label="One frame back">
          ‹
        </button>
        <input
          type="range"
          min={0}
          max={length}
          step={1 / frameRateHz}
          value={Math.min(time, length)}
          aria-label="Time in all clips"
          aria-valuetext={`${time.toFixed(2)} seconds`}
          onInput={(event) => {
            setPlaying(false);
            seek(Number(event.currentTarget.value));
          }}
        />
        <button type="button" class="quiet" onClick={() => step(1)} aria-label="One frame on">
          ›
        </button>
        <output class="time">{time.toFixed(2)} s</output>
      </div>
    </section>
  );
}
