/** One answer: how it comes about, and what it is. @module */
import { useEffect, useState } from "preact/hooks";
import { type Answer, call, follow, isFinal, type PreviewStrip } from "../api.ts";
import { Failure } from "./failure.tsx";
import { SyncedVideos } from "./synced-videos.tsx";

/** What is known of an answer by now. */
export interface AnswerSoFar {
  readonly answer?: Answer;
  readonly reasoning: string;
  readonly caption: string;
  /** By sample. */
  readonly strips: readonly PreviewStrip[];
  readonly step?: { readonly step: number; readonly steps: number; readonly sample: number };
  readonly input?: string;
  readonly isConnected: boolean;
  readonly error?: unknown;
}

const NOTHING: AnswerSoFar = { reasoning: "", caption: "", strips: [], isConnected: true };

/** Frames a second of the clips of a suite that has not answered yet. */
const USUAL_RATE_HZ = 8;

/** Follows an answer by its id, through breaks of the connection and restarts of the server. */
export function useAnswer(id: string): AnswerSoFar {
  const [so, setSo] = useState<AnswerSoFar>(NOTHING);
  useEffect(() => {
    setSo(NOTHING);
    let stop = (): void => undefined;
    let isGone = false;
    const change = (next: (before: AnswerSoFar) => Partial<AnswerSoFar>): void => {
      if (!isGone) setSo((before) => ({ ...before, ...next(before) }));
    };
    const begin = (): void => {
      stop = follow(id, {
        connection: (isConnected) => change(() => ({ isConnected })),
        // A state that is not final comes at the start, also of what was begun anew after a restart.
        state: (answer) =>
          change(() => (isFinal(answer) ? { answer, isConnected: true } : { ...NOTHING, answer })),
        token: ({ part, text, sample }) =>
          change((before) => {
            if (sample > 0) return {};
            if (part === "reasoning") return { reasoning: before.reasoning + text };
            return part === "caption" ? { caption: before.caption + text } : {};
          }),
        caption: ({ reasoning, caption }) => change((before) => (before.step ? {} : { reasoning, caption })),
        step: ({ step, steps, sample, preview }) =>
          change(({ strips }) => ({
            step: { step, steps, sample },
            ...(preview && { strips: Object.assign([...strips], { [sample]: preview }) }),
          })),
        input: ({ url }) => change(() => ({ input: url })),
      });
    };
    const look = (): void => {
      call<Answer>("GET", `/answers/${id}`).then(
        (answer) => {
          change(() => ({ answer, isConnected: true }));
          if (!isGone && !isFinal(answer)) begin();
        },
        (error: unknown) => change(() => ({ error })),
      );
    };
    look();
    return () => {
      isGone = true;
      stop();
    };
  }, [id]);
  return so;
}

/** How far an answer is, from 0 to 1. */
export function shareOf({ answer, step }: AnswerSoFar): number {
  if (answer?.state !== "running") return 0;
  const samples = answer.request.samples ?? 1;
  return step ? 0.1 + (0.9 * (step.sample * step.steps + step.step)) / (samples * step.steps) : 0.06;
}

/** What is being done, in words. */
export function stageOf({ answer, step, reasoning, isConnected }: AnswerSoFar): string {
  if (!isConnected) return "The server does not answer; trying again";
  if (answer?.state === "queued")
    return answer.position ? `Waiting behind ${answer.position}` : "Next in the queue";
  if (step) return `Drawing, step ${step.step} of ${step.steps}`;
  return reasoning === "" ? "Watching the clip" : "Thinking";
}

export function LiveAnswer({ id, onEnd }: { readonly id: string; onEnd?(answer: Answer): void }) {
  const so = useAnswer(id);
  const { answer, strips, input } = so;
  useEffect(() => {
    if (answer && isFinal(answer)) onEnd?.(answer);
  }, [answer?.state]);
  if (so.error !== undefined) return <Failure error={so.error} />;
  if (!answer) return <p class="muted">Looking for the answer …</p>;
  const { result, request } = answer;
  const isLive = !isFinal(answer);
  const count = result?.samples.length ?? request.samples ?? 1;
  const reasoning = result?.reasoning ?? so.reasoning;
  const caption = result?.caption ?? so.caption;
  return (
    <article class="answer" aria-busy={isLive} data-id={id} data-state={answer.state}>
      <header class="asked">
        <h2>{request.question}</h2>
        <p class="muted facts">
          {request.suite}
          {request.system && request.system !== "suite" && ` · ${request.system}`}
          {result && ` · seed ${result.settings.seed} · ${total(result.timingsSecs).toFixed(1)} s`}
        </p>
      </header>
      {(result || isLive) && (
        <SyncedVideos
          frameRateHz={result?.frameRateHz ?? USUAL_RATE_HZ}
          columns={count > 3 ? 3 : 4}
          videos={[
            { key: "input", title: "Your clip", url: result?.files.input ?? input },
            ...Array.from({ length: count }, (_, index) => ({
              key: `sample-${index}`,
              title: count > 1 ? `Future ${index + 1}` : "Answer",
              url: result?.samples[index]?.video,
              strip: strips[index],
              below: count > 1 && result && <p class="under">{result.samples[index]?.caption}</p>,
            })),
          ]}
        />
      )}
      {isLive && (
        <div class="progress" role="status">
          <progress value={shareOf(so)} max={1} aria-label="Progress" />
          <span>{stageOf(so)} …</span>
          <button
            type="button"
            class="quiet"
            onClick={() => void call("POST", `/answers/${id}/cancel`).catch(() => undefined)}
          >
            Cancel
          </button>
        </div>
      )}
      {answer.state === "cancelled" && <p class="note">Cancelled. Nothing of it was kept.</p>}
      {answer.error && <Failure error={answer.error} />}
      {(reasoning || caption) && (
        <div class="texts" aria-live="polite">
          <p class="reasoning">
            <span class="tag">Thinking</span>
            {reasoning}
            {isLive && caption === "" && <span class="caret" aria-hidden="true" />}
          </p>
          {caption && (
            <p class="caption">
              <span class="tag">What comes next</span>
              {caption}
            </p>
          )}
        </div>
      )}
      {(result?.warnings ?? []).map((warning) => (
        <p key={warning.code} class="note warn">
          <b>{warning.code === "VANS_OUT_OF_DOMAIN" ? "Unfamiliar footage. " : "Note. "}</b>
          {warning.message}
          {warning.fix && ` — ${warning.fix}`}
        </p>
      ))}
    </article>
  );
}

/** Seconds of all stages, or the whole where it is told. */
export function total(timings: Readonly<Record<string, number>>): number {
  return timings["total"] ?? Object.values(timings).reduce((sum, secs) => sum + secs, 0);
}
