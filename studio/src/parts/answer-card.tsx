/** An answer as a small picture that plays when it is pointed at. @module */
import type { Answer } from "../api.ts";
import { linkTo } from "../location.ts";

export function AnswerCard({
  answer,
  isCurrent,
  isKept,
}: {
  readonly answer: Answer;
  readonly isCurrent: boolean;
  readonly isKept: boolean;
}) {
  return (
    <a class="card" aria-current={isCurrent ? "true" : undefined} {...linkTo(`/ask/${answer.id}`)}>
      <AnswerPicture answer={answer} />
      <span class="line strong">
        {isKept && <span aria-label="Kept: ">★ </span>}
        {answer.request.question}
      </span>
      <span class="line muted">{answer.result?.caption ?? answer.error?.message ?? ""}</span>
    </a>
  );
}

/** The answer's clip, on its last picture until it is pointed at. */
export function AnswerPicture({ answer }: { readonly answer: Answer }) {
  if (!answer.result)
    return (
      <span class={`video blank${answer.state === "running" || answer.state === "queued" ? " pulse" : ""}`}>
        {answer.state}
      </span>
    );
  const endSecs = Math.max(0, (answer.result.frameCount - 0.5) / answer.result.frameRateHz);
  return (
    <video
      class="video"
      src={`${answer.result.files.answer[0]}#t=${endSecs.toFixed(2)}`}
      muted
      playsInline
      preload="metadata"
      aria-hidden="true"
      tabIndex={-1}
      onMouseEnter={(event) => void event.currentTarget.play().catch(() => undefined)}
      onMouseLeave={(event) => event.currentTarget.pause()}
    />
  );
}
