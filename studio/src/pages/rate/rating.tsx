/** One video after the other, marked by keys alone if one likes. @module */
import { useEffect, useRef, useState } from "preact/hooks";
import { call } from "../../api.ts";
import { linkTo } from "../../location.ts";
import { Failure } from "../../parts/failure.tsx";
import { SyncedVideos } from "../../parts/synced-videos.tsx";
import { CRITERION_NAMES, type CriterionName, type NextTrial } from "./study-api.ts";

const RATER_KEY = "vans-rater";
const MARKS = [1, 2, 3, 4, 5] as const;
/** The playroom's rate; raters only step with it. */
const FRAME_RATE_HZ = 8;

type Marks = Partial<Record<CriterionName, number>>;

export function Rating({ id }: { readonly id: string }) {
  const [rater, setRater] = useState(() => localStorage.getItem(RATER_KEY) ?? "");
  const [isNamed, setNamed] = useState(false);
  if (!isNamed)
    return (
      <form
        class="panel composer narrow"
        onSubmit={(event) => {
          event.preventDefault();
          localStorage.setItem(RATER_KEY, rater.trim());
          setNamed(true);
        }}
      >
        <label>
          Your name or initials
          <input
            required
            maxLength={60}
            value={rater}
            autocomplete="off"
            onInput={(event) => setRater(event.currentTarget.value)}
          />
        </label>
        <p class="muted small flush">
          It gives you an order of your own and lets you go on later where you stopped.
        </p>
        <button type="submit" class="primary wide" disabled={rater.trim() === ""}>
          Start rating
        </button>
      </form>
    );
  return <Trials id={id} rater={rater.trim()} />;
}

function Trials({ id, rater }: { readonly id: string; readonly rater: string }) {
  const [next, setNext] = useState<NextTrial>();
  const [marks, setMarks] = useState<Marks>({});
  const [active, setActive] = useState(0);
  const [plays, setPlays] = useState(0);
  const [error, setError] = useState<unknown>();
  const [isBusy, setBusy] = useState(false);
  const place = useRef<HTMLDivElement>(null);

  const show = (found: NextTrial): void => {
    setNext(found);
    setMarks(found.trial?.marks ?? {});
    setActive(0);
    setError(undefined);
    // Keys work from the first moment on.
    requestAnimationFrame(() => place.current?.focus({ preventScroll: true }));
  };
  const load = (at?: number): void => {
    const query = new URLSearchParams({ rater, ...(at !== undefined && { at: String(at) }) });
    call<NextTrial>("GET", `/studies/${id}/next?${query}`).then(show, (failure: unknown) =>
      setError(failure),
    );
  };
  useEffect(load, [id, rater]);

  if (error !== undefined && !next) return <Failure error={error} />;
  if (!next) return <p class="muted">Looking for the next video …</p>;
  const { trial, criteria, done, total } = next;
  if (!trial)
    return (
      <div class="welcome">
        <p class="big">That was all of them. Thank you, {rater}.</p>
        <p class="row center">
          <a class="button" {...linkTo(`/rate/${id}/results`)}>
            See the results
          </a>
          <button type="button" class="quiet" onClick={() => load(total - 1)}>
            Look at the last one again
          </button>
        </p>
      </div>
    );

  const isComplete = CRITERION_NAMES.every((name) => marks[name] !== undefined);
  const mark = (name: CriterionName, value: number): void => {
    setMarks({ ...marks, [name]: value });
    const at = criteria.findIndex((one) => one.name === name);
    setActive(Math.min(criteria.length - 1, at + 1));
  };
  const submit = async (): Promise<void> => {
    if (!isComplete || isBusy) return;
    setBusy(true);
    try {
      show(await call<NextTrial>("POST", `/studies/${id}/ratings`, { rater, token: trial.token, ...marks }));
    } catch (failure) {
      setError(failure);
    } finally {
      setBusy(false);
    }
  };
  const onKey = (event: KeyboardEvent): void => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const digit = Number(event.key);
    const isButton = event.target instanceof HTMLElement && event.target.closest("button, a") !== null;
    if (MARKS.some((one) => one === digit)) mark(criteria[active]!.name, digit);
    else if (event.key === "Enter" && !isButton) void submit();
    else if (event.key === " " && event.target === place.current) setPlays(plays + 1);
    else if (event.key === "ArrowUp" && event.target === place.current) setActive(Math.max(0, active - 1));
    else if (event.key === "ArrowDown" && event.target === place.current)
      setActive(Math.min(criteria.length - 1, active + 1));
    else if (event.key === "Backspace" && trial.index > 0) load(trial.index - 1);
    else return;
    event.preventDefault();
  };
  return (
    <div
      class="answer rating"
      ref={place}
      tabIndex={-1}
      role="group"
      aria-label={`Video ${trial.index + 1} of ${total}`}
      onKeyDown={onKey}
    >
      <div class="asked">
        <h2>{trial.question}</h2>
        <p class="muted facts" aria-live="polite">
          video {trial.index + 1} of {total} · {done} rated
        </p>
      </div>
      <progress value={done} max={total} aria-label="Rated so far" />
      <SyncedVideos
        key={`${trial.token} ${plays}`}
        label="What was there, and what was answered"
        frameRateHz={FRAME_RATE_HZ}
        videos={[
          { key: "input", title: "Input", url: trial.input },
          { key: "answer", title: "Answer", url: trial.answer },
        ]}
      />
      <div class="marks">
        {criteria.map(({ name, title, about }, at) => (
          <fieldset
            key={name}
            class={`marking${at === active ? " active" : ""}`}
            onFocusIn={() => setActive(at)}
          >
            <legend>{title}</legend>
            <p class="muted small flush">{about}</p>
            <div class="scale">
              {MARKS.map((value) => (
                <label key={value} class="mark-of">
                  <input
                    type="radio"
                    name={`${trial.token}-${name}`}
                    value={value}
                    checked={marks[name] === value}
                    onChange={() => setMarks({ ...marks, [name]: value })}
                  />
                  <span>{value}</span>
                </label>
              ))}
            </div>
            <p class="ends muted" aria-hidden="true">
              <span>not at all</span>
              <span>fully</span>
            </p>
          </fieldset>
        ))}
      </div>
      {error !== undefined && <Failure error={error} />}
      <div class="row between">
        <button
          type="button"
          class="quiet"
          disabled={trial.index === 0}
          onClick={() => load(trial.index - 1)}
        >
          One back
        </button>
        <p class="muted small flush keys">
          <kbd>1</kbd>–<kbd>5</kbd> mark · <kbd>↑</kbd>
          <kbd>↓</kbd> choose · <kbd>Space</kbd> replay · <kbd>Enter</kbd> next · <kbd>⌫</kbd> back
        </p>
        <button type="button" class="primary" disabled={!isComplete || isBusy} onClick={() => void submit()}>
          Next
        </button>
      </div>
    </div>
  );
}
