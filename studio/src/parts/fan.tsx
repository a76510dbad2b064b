/** A clip and its futures: one line to each. @module */
import type { Answer } from "../api.ts";
import { linkTo } from "../location.ts";
import { AnswerPicture } from "./answer-card.tsx";
import { Icon } from "./icons.tsx";

/** Height of a future, in rem; the lines are drawn to its middle. */
const ROW_REM = 6;

export function Fan({
  futures,
  current,
  onMore,
}: {
  readonly futures: readonly Answer[];
  readonly current: Answer;
  /** Asks the same again with so many other seeds. */
  onMore(count: number): void;
}) {
  const first = futures.find(({ result }) => result)?.result;
  // Its last picture: that is where the futures begin.
  const input = first && `${first.files.input}#t=${((first.frameCount - 0.5) / first.frameRateHz).toFixed(2)}`;
  const rows = futures.length;
  return (
    <section class="panel">
      <header class="row between">
        <h3>Futures of this clip</h3>
        <button type="button" class="small" onClick={() => onMore(3)}>
          <Icon name="fan" /> Three more
        </button>
      </header>
      <div class="fan" style={{ "--rows": rows }}>
        <div class="origin">
          {input ? (
            <video class="video" src={input} muted playsInline preload="auto" aria-label="Your clip" />
          ) : (
            <span class="video blank" />
          )}
        </div>
        <svg viewBox={`0 0 4 ${rows * ROW_REM}`} preserveAspectRatio="none" aria-hidden="true">
          {futures.map((answer, index) => {
            const from = (rows * ROW_REM) / 2;
            const to = (index + 0.5) * ROW_REM;
            return (
              <path
                key={answer.id}
                d={`M0 ${from}C2.2 ${from} 1.8 ${to} 4 ${to}`}
                class={answer.id === current.id ? "current" : ""}
                vector-effect="non-scaling-stroke"
              />
            );
          })}
        </svg>
        <ul>
          {futures.map((answer) => (
            <li key={answer.id}>
              <a
                class="future"
                aria-current={answer.id === current.id ? "true" : undefined}
                {...linkTo(`/ask/${answer.id}`)}
              >
                <AnswerPicture answer={answer} />
                <span>
                  <span class="line strong">
                    {answer.result?.caption ?? answer.error?.message ?? `${answer.state} …`}
                  </span>
                  <span class="line muted">
                    {answer.request.question}
                    {answer.result && ` · ${answer.request.suite} · seed ${answer.result.settings.seed}`}
                  </span>
                </span>
              </a>
            </li>
          ))}
        </ul>
      </div>
    </section>
  );
}
