/** A clip, the seconds that matter, a question and what else can be set. @module */
import { useEffect, useRef, useState } from "preact/hooks";
import type { AnswerRequest, ClipInfo, Suite } from "../api.ts";

/** Questions that fit most clips. */
const USUAL = ["what should i do next?", "what happens next?", "and now?"];

export interface Draft {
  readonly clip: ClipInfo;
  readonly questions: readonly string[];
}

export function Composer({
  draft,
  suites,
  suite,
  isBusy,
  onAsk,
  onOther,
}: {
  readonly draft: Draft;
  readonly suites: readonly Suite[];
  readonly suite: string;
  readonly isBusy: boolean;
  onAsk(request: AnswerRequest): void;
  onOther(): void;
}) {
  const { clip, questions } = draft;
  const [question, setQuestion] = useState(questions[0] ?? "");
  const [chosen, setChosen] = useState(suite);
  const [seed, setSeed] = useState("");
  const [steps, setSteps] = useState("");
  const [guidance, setGuidance] = useState("");
  const [samples, setSamples] = useState("1");
  const [length, setLength] = useState(clip.durationSecs ?? 0);
  const [start, setStart] = useState(0);
  const [end, setEnd] = useState<number>();
  const video = useRef<HTMLVideoElement>(null);
  const known = suites.find(({ name }) => name === chosen)?.answer;

  useEffect(() => {
    setQuestion(questions[0] ?? "");
    setStart(0);
    setEnd(undefined);
    setLength(clip.durationSecs ?? 0);
  }, [clip.id]);

  const number = (text: string): number | undefined => (text.trim() === "" ? undefined : Number(text));
  const isTrimmed = start > 0 || (end !== undefined && end < length);
  const submit = (event: Event): void => {
    event.preventDefault();
    if (question.trim() === "") return;
    onAsk({
      clip: clip.id,
      question: question.trim(),
      suite: chosen,
      ...(isTrimmed && { trim: { startSecs: start, endSecs: end ?? length } }),
      ...(number(seed) !== undefined && { seed: number(seed) }),
      ...(number(steps) !== undefined && { steps: number(steps) }),
      ...(number(guidance) !== undefined && { guidanceScale: number(guidance) }),
      ...(Number(samples) > 1 && { samples: Number(samples) }),
    });
  };
  const show = (at: number): void => {
    if (video.current) video.current.currentTime = at;
  };
  return (
    <form class="composer" onSubmit={submit}>
      <div class="chosen">
        {clip.isStill ? (
          <img class="video" src={clip.content} alt={`The picture ${clip.name}`} />
        ) : (
          <video
            ref={video}
            class="video"
            src={clip.content}
            muted
            loop
            autoplay={!matchMedia("(prefers-reduced-motion: reduce)").matches}
            playsInline
            aria-label={`The clip ${clip.name}`}
            onLoadedMetadata={(event) => {
              if (Number.isFinite(event.currentTarget.duration)) setLength(event.currentTarget.duration);
            }}
          />
        )}
        <p class="row between">
          <span class="muted clipname" title={clip.name}>
            {clip.name}
            {length > 0 && ` · ${length.toFixed(1)} s`}
          </span>
          <button type="button" class="quiet" onClick={onOther}>
            Another clip
          </button>
        </p>
        {!clip.isStill && length > 1 && (
          <details class="settings">
            <summary>Trim{isTrimmed ? `: ${start.toFixed(1)} to ${(end ?? length).toFixed(1)} s` : ""}</summary>
            <label>
              From {start.toFixed(1)} s
              <input
                type="range"
                min={0}
                max={length}
                step={0.1}
                value={start}
                onInput={(event) => {
                  const at = Math.min(Number(event.currentTarget.value), (end ?? length) - 0.2);
                  setStart(Math.max(0, at));
                  show(at);
                }}
              />
            </label>
            <label>
              To {(end ?? length).toFixed(1)} s
              <input
                type="range"
                min={0}
                max={length}
                step={0.1}
                value={end ?? length}
                onInput={(event) => {
                  const at = Math.max(Number(event.currentTarget.value), start + 0.2);
                  setEnd(Math.min(length, at));
                  show(at);
                }}
              />
            </label>
          </details>
        )}
      </div>
      <label class="question">
        <span>Your question</span>
        <textarea
          rows={2}
          maxLength={500}
          required
          value={question}
          placeholder="what happens next?"
          onInput={(event) => setQuestion(event.currentTarget.value)}
          onKeyDown={(event) => {
            if (event.key === "Enter" && !event.shiftKey) submit(event);
          }}
        />
      </label>
      <p class="chips" role="group" aria-label="Questions to pick">
        {[...new Set([...questions, ...USUAL])].slice(0, 5).map((one) => (
          <button key={one} type="button" class="chip" aria-pressed={one === question} onClick={() => setQuestion(one)}>
            {one}
          </button>
        ))}
      </p>
      <details class="settings">
        <summary>
          Settings <span class="muted">{chosen}</span>
        </summary>
        <div class="fields">
          <label>
            Suite
            <select value={chosen} onChange={(event) => setChosen(event.currentTarget.value)}>
              {suites
                .filter(({ isReady }) => isReady)
                .map(({ name }) => (
                  <option key={name}>{name}</option>
                ))}
            </select>
          </label>
          <label>
            Seed
            <input type="number" min={0} value={seed} placeholder={String(known?.seed ?? 0)} onInput={(event) => setSeed(event.currentTarget.value)} />
          </label>
          <label>
            Steps
            <input type="number" min={1} max={200} value={steps} placeholder={String(known?.steps ?? "")} onInput={(event) => setSteps(event.currentTarget.value)} />
          </label>
          <label>
            Guidance
            <input type="number" min={0} max={50} step={0.1} value={guidance} placeholder={String(known?.guidanceScale ?? "")} onInput={(event) => setGuidance(event.currentTarget.value)} />
          </label>
          <label>
            Futures
            <input type="number" min={1} max={8} value={samples} onInput={(event) => setSamples(event.currentTarget.value)} />
          </label>
        </div>
      </details>
      <button type="submit" class="primary wide" disabled={isBusy || question.trim() === ""}>
        Ask
      </button>
    </form>
  );
}
