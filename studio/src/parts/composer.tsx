/** A clip, the seconds that matter, a question and what else can be set. @module */
import { useEffect, useRef, useState } from "preact/hooks";
import type { AnswerRequest, ClipInfo, Suite } from "../api.ts";
import { TrimBar } from "./trim-bar.tsx";

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
            onTimeUpdate={({ currentTarget }) => {
              // Only what is asked about is shown, again and again.
              if (!isTrimmed || currentTarget.paused) return;
              if (currentTarget.currentTime >= (end ?? length) || currentTarget.currentTime < start - 0.3)
                currentTarget.currentTime = start;
            }}
            onLoadedMetadata={(event) => {
              if (Number.isFinite(event.currentTarget.duration)) setLength(event.currentTarget.duration);
            }}
          />
        )}
        <p class="row between">
          <span class="muted clipname" title={clip.name}>
            {clip.name}
            {clip.isStill ? " · picture" : ""}
          </span>
          <button type="button" class="quiet" onClick={onOther}>
            Another clip
          </button>
        </p>
        {!clip.isStill && length > 0.5 && (
          <TrimBar
            length={length}
            start={start}
            end={end ?? length}
            onChange={(from, to, shown) => {
              setStart(from);
              setEnd(to >= length ? undefined : to);
              show(shown);
            }}
          />
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
          <button
            key={one}
            type="button"
            class="chip"
            aria-pressed={one === question}
            onClick={() => setQuestion(one)}
          >
            {one}
          </button>
        ))}
      </p>
      <details class="settings">
        <summary>
          Settings{" "}
          <span class="muted">
            {chosen}
            {seed !== "" && ` · seed ${seed}`}
            {Number(samples) > 1 && ` · ${samples} futures`}
          </span>
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
            <input
              type="number"
              min={0}
              value={seed}
              placeholder={String(known?.seed ?? 0)}
              onInput={(event) => setSeed(event.currentTarget.value)}
            />
          </label>
          <label>
            Steps
            <input
              type="number"
              min={1}
              max={200}
              value={steps}
              placeholder={String(known?.steps ?? "")}
              onInput={(event) => setSteps(event.currentTarget.value)}
            />
          </label>
          <label>
            Guidance
            <input
              type="number"
              min={0}
              max={50}
              step={0.1}
              value={guidance}
              placeholder={String(known?.guidanceScale ?? "")}
              onInput={(event) => setGuidance(event.currentTarget.value)}
            />
          </label>
          <label>
            Futures
            <input
              type="number"
              min={1}
              max={8}
              value={samples}
              onInput={(event) => setSamples(event.currentTarget.value)}
            />
          </label>
        </div>
      </details>
      <button type="submit" class="primary wide" disabled={isBusy || question.trim() === ""}>
        Ask
      </button>
    </form>
  );
}
