/** One event after the other: answers that go on from answers. @module */
import { useEffect, useRef, useState } from "preact/hooks";
import type { Answer } from "../api.ts";
import { linkTo } from "../location.ts";
import { AnswerPicture } from "./answer-card.tsx";
import { Icon } from "./icons.tsx";

export function Storyboard({
  chain,
  current,
  most,
  onNext,
  goal,
  onStop,
}: {
  readonly chain: readonly Answer[];
  readonly current: string;
  /** Longest storyboard. */
  readonly most: number;
  /** Goes on by so many events. */
  onNext(count: number): void;
  /** Length that is being gone towards. */
  readonly goal: number | undefined;
  onStop(): void;
}) {
  const [playing, setPlaying] = useState<number>();
  const video = useRef<HTMLVideoElement>(null);
  const clips = [chain[0]?.result?.files.input, ...chain.map(({ result }) => result?.files.answer[0])].filter(
    (url) => url !== undefined,
  );
  useEffect(() => {
    if (playing !== undefined) void video.current?.play().catch(() => undefined);
  }, [playing]);
  const isWhole = chain.every(({ state }) => state === "done");
  const left = most - chain.length;
  return (
    <section class="panel">
      <header class="row between">
        <h3>
          Storyboard{" "}
          <span class="muted">
            {chain.length} of {most} events
          </span>
        </h3>
        <span class="row">
          {chain.length > 1 && isWhole && (
            <button
              type="button"
              class="small"
              onClick={() => setPlaying(playing === undefined ? 0 : undefined)}
            >
              <Icon name={playing === undefined ? "play" : "pause"} />{" "}
              {playing === undefined ? "Play the story" : "Close"}
            </button>
          )}
          {goal !== undefined ? (
            <button type="button" class="small" onClick={onStop}>
              Stop at {chain.length}
            </button>
          ) : (
            isWhole &&
            left > 1 && (
              <button type="button" class="small" onClick={() => onNext(Math.min(3, left))}>
                <Icon name="next" /> Next {Math.min(3, left)} events
              </button>
            )
          )}
        </span>
      </header>
      {playing !== undefined && (
        <div class="story">
          <video
            ref={video}
            class="video"
            src={clips[playing]}
            muted
            playsInline
            autoplay
            aria-label={playing === 0 ? "Your clip" : `Event ${playing}`}
            onEnded={() => setPlaying(playing + 1 < clips.length ? playing + 1 : 0)}
          />
          <p class="caption center">{playing === 0 ? "Your clip" : chain[playing - 1]?.result?.caption}</p>
        </div>
      )}
      <ol class="strip numbered">
        {chain.map((answer, index) => (
          <li key={answer.id}>
            <a
              class={`card${playing === index + 1 ? " lit" : ""}`}
              aria-current={answer.id === current ? "true" : undefined}
              {...linkTo(`/ask/${answer.id}`)}
            >
              <AnswerPicture answer={answer} />
              <span class="line">
                {answer.result?.caption ?? answer.error?.message ?? `${answer.state} …`}
              </span>
            </a>
          </li>
        ))}
        {goal === undefined && isWhole && left > 0 && (
          <li>
            <button type="button" class="card go-on" onClick={() => onNext(1)}>
              <Icon name="next" />
              And then?
            </button>
          </li>
        )}
      </ol>
    </section>
  );
}
