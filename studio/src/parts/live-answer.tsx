/** One answer: how it comes about, and what it is. @module */
import { useEffect, useState } from "preact/hooks";
import { type Answer, call, follow, isFinal, type PreviewStrip } from "../api.ts";
import { Failure } from "./failure.tsx";
import { StripPlayer } from "./strip-player.tsx";
import { SyncedVideos } from "./synced-videos.tsx";

/** What a stage is called. */
const STAGES: Readonly<Record<string, string>> = { load: "Opening the models", write: "Watching and thinking", denoise: "Drawing" };

/** Follows an answer by its id. */
export function useAnswer(id: string | undefined): {
  readonly answer: Answer | undefined;
  readonly reasoning: string;
  readonly caption: string;
  readonly strip: PreviewStrip | undefined;
  readonly share: number;
  readonly input: string | undefined;
  readonly error: unknown;
} {
  const [answer, setAnswer] = useState<Answer>();
  const [reasoning, setReasoning] = useState("");
  const [caption, setCaption] = useState("");
  const [strip, setStrip] = useState<PreviewStrip>();
  const [share, setShare] = useState(0);
  const [input, setInput] = useState<string>();
  const [error, setError] = useState<unknown>();
  useEffect(() => {
    setAnswer(undefined);
    setReasoning("");
    setCaption("");
    setStrip(undefined);
    setShare(0);
    setInput(undefined);
    setError(undefined);
    if (id === undefined) return;
    let stop = (): void => undefined;
    let isGone = false;
    call<Answer>("GET", `/answers/${id}`).then(
      (found) => {
        if (isGone) return;
        setAnswer(found);
        if (isFinal(found)) return;
        stop = follow(id, {
          state: (now) => {
            setAnswer(now);
            // Begun anew after a restart of the server.
            if (now.state === "queued" || now.state === "running") {
              setReasoning("");
              setCaption("");
              setShare(0);
            }
          },
          token: ({ part, text, sample }) => {
            if (sample > 0) return;
            if (part === "reasoning") setReasoning((before) => before + text);
            else if (part === "caption") setCaption((before) => before + text);
          },
          caption: (written) => {
            setReasoning(written.reasoning);
            setCaption(written.caption);
          },
          step: ({ step, steps, preview }) => {
            setShare(step / steps);
            if (preview) setStrip(preview);
          },
          input: ({ url }) => setInput(url),
        });
      },
      (failure: unknown) => !isGone && setError(failure),
    );
    return () => {
      isGone = true;
      stop();
    };
  }, [id]);
  return { answer, reasoning, caption, strip, share, input, error };
}

export function LiveAnswer({ id, onEnd }: { readonly id: string; onEnd?(answer: Answer): void }) {
  const { answer, reasoning, caption, strip, share, input, error } = useAnswer(id);
  const state = answer?.state;
  useEffect(() => {
    if (answer && isFinal(answer)) onEnd?.(answer);
  }, [state]);
  if (error !== undefined) return <Failure error={error} />;
  if (!answer) return <p class="muted">Looking for the answer …</p>;
  const { result, request } = answer;
  const isLive = !isFinal(answer);
  const stage =
    answer.state === "queued"
      ? answer.position === 0 || answer.position === null
        ? "Next in the queue"
        : `Waiting behind ${answer.position}`
      : share > 0
        ? STAGES["denoise"]
        : STAGES["write"];
  return (
    <article class="answer" aria-busy={isLive}>
      <h2 class="asked">{request.question}</h2>
      {result ? (
        <SyncedVideos
          frameRateHz={result.frameRateHz}
          videos={[
            { url: result.files.input, title: "Your clip" },
            ...result.samples.map((sample, index) => ({
              url: sample.video,
              title: result.samples.length > 1 ? `Future ${index + 1}` : "Answer",
            })),
          ]}
        />
      ) : (
        isLive && (
          <div class="synced">
            <div class="grid" style={{ "--columns": 2 }}>
              <figure>
                {input ? (
                  <video class="video" src={input} muted autoplay loop playsInline aria-label="Your clip" />
                ) : (
                  <div class="video blank" />
                )}
                <figcaption>
                  <b>Your clip</b>
                </figcaption>
              </figure>
              <figure>
                {strip ? <StripPlayer strip={strip} label="The answer, sharpening" /> : <div class="video blank pulse" />}
                <figcaption>
                  <b>Answer</b>
                  <span>{stage} …</span>
                </figcaption>
              </figure>
            </div>
            <div class="transport">
              <progress value={state === "running" ? 0.08 + 0.92 * share : 0} max={1} aria-label="Progress" />
              <button
                type="button"
                class="quiet"
                onClick={() => void call("POST", `/answers/${id}/cancel`).catch(() => undefined)}
              >
                Cancel
              </button>
            </div>
          </div>
        )
      )}
      {answer.state === "cancelled" && <p class="note">Cancelled.</p>}
      {answer.error && <Failure error={answer.error} />}
      {(result?.warnings ?? []).map((warning) => (
        <p key={warning.code} class="note warn">
          <b>{warning.code === "VANS_OUT_OF_DOMAIN" ? "Unfamiliar footage. " : "Note. "}</b>
          {warning.message}
          {warning.fix && ` — ${warning.fix}`}
        </p>
      ))}
      {(result || reasoning || caption) && (
        <div class="texts" aria-live="polite">
          <p class="reasoning">
            <span class="tag">Thinking</span>
            {result?.reasoning ?? reasoning}
          </p>
          {(result || caption) && (
            <p class="caption">
              <span class="tag">What comes next</span>
              {result?.caption ?? caption}
            </p>
          )}
        </div>
      )}
    </article>
  );
}
