/** One video after the other, marked by keys alone if one likes. @module */
import { useEffect, useRef, useState } from "preact/hooks";
import { call } from "../../api.ts";
import { go, linkTo, useQuery } from "../../location.ts";
import { Failure } from "../../parts/failure.tsx";
import { Icon } from "../../parts/icons.tsx";
import { SyncedVideos } from "../../parts/synced-videos.tsx";
import {
  CRITERION_NAMES,
  type CriterionName,
  keepRater,
  lastRater,
  type NextTrial,
  ratingPath,
} from "./study-api.ts";

const MARKS = [1, 2, 3, 4, 5] as const;

type Marks = Partial<Record<CriterionName, number>>;

export function Rating({ id }: { readonly id: string }) {
  const [query] = useQuery();
  const [name, setName] = useState(lastRater);
  const rater = query.get("rater")?.trim() ?? "";
  if (rater !== "") return <Trials key={rater} id={id} rater={rater} />;
  return (
    <form
      class="panel composer narrow"
      onSubmit={(event) => {
        event.preventDefault();
        keepRater(name.trim());
        go(ratingPath(id, name.trim()));
      }}
    >
      <h2 class="flush">Who rates?</h2>
      <label>
        Your name or initials
        <input
          required
          maxLength={60}
          value={name}
          autocomplete="off"
          onInput={(event) => setName(event.currentTarget.value)}
        />
      </label>
      <p class="muted small flush">
        It gives you an order of your own, and with the same name you go on where you stopped. You will see
        one video after the other and not who made it; three marks each, from 1 to 5.
      </p>
      <button type="submit" class="primary wide" disabled={name.trim() === ""}>
        Start rating
      </button>
    </form>
  );
}

function Trials({ id, rater }: { readonly id: string; readonly rater: string }) {
  const [next, setNext] = useState<NextTrial>();
  const [marks, setMarks] = useState<Marks>({});
  const [active, setActive] = useState(0);
  const [plays, setPlays] = useState(0);
  const [error, setError] = useState<unknown>();
  const [missing, setMissing] = useState<string>();
  const [isBusy, setBusy] = useState(false);
  const place = useRef<HTMLDivElement>(null);
  const draftKey = (token: string): string => `vans-marks ${id} ${rater} ${token}`;

  const show = (found: NextTrial): void => {
    const { trial } = found;
    // What was marked before a pause and not sent yet.
    const draft = trial && sessionStorage.getItem(draftKey(trial.token));
    setNext(found);
    setMarks(draft ? (JSON.parse(draft) as Marks) : (trial?.marks ?? {}));
    setActive(0);
    setError(undefined);
    setMissing(undefined);
    setPlays(0);
    // Keys work from the first moment on.
    requestAnimationFrame(() => place.current?.focus({ preventScroll: true }));
  };
  const load = (at?: number): void => {
    const asked = new URLSearchParams({ rater, ...(at !== undefined && { at: String(at) }) });
    call<NextTrial>("GET", `/studies/${id}/next?${asked}`).then(show, (failure: unknown) =>
      setError(failure),
    );
  };
  useEffect(load, [id, rater]);

  const keys = useRef<(event: KeyboardEvent) => void>(() => undefined);
  useEffect(() => {
    // Keys count wherever the focus is, also after a click beside everything.
    const listener = (event: KeyboardEvent): void => keys.current(event);
    document.addEventListener("keydown", listener);
    return () => document.removeEventListener("keydown", listener);
  }, []);
  keys.current = () => undefined;

  if (error !== undefined && !next) return <Failure error={error} />;
  if (!next) return <p class="muted">Looking for the next video …</p>;
  const { trial, criteria, done, total } = next;
  if (!trial)
    return (
      <div class="welcome" role="status">
        <p class="big">That was all of them. Thank you, {rater}.</p>
        <p class="row center">
          <a class="button" {...linkTo(`/rate/${id}/results`)}>
            See the results
          </a>
          <button type="button" class="quiet" onClick={() => load(total - 1)}>
            Look at the last one again
          </button>
          <a class="button quiet" {...linkTo(`/rate/${id}`)}>
            Somebody else rates
          </a>
        </p>
      </div>
    );

  const change = (name: CriterionName, value: number): void => {
    const changed = { ...marks, [name]: value };
    setMarks(changed);
    setMissing(undefined);
    sessionStorage.setItem(draftKey(trial.token), JSON.stringify(changed));
  };
  const choose = (at: number): void => {
    setActive(at);
    // The scale that the keys mark is the one that has the focus, where one has it.
    const own = place.current?.querySelectorAll("fieldset")[at];
    if (document.activeElement?.closest("fieldset") && own)
      (own.querySelector<HTMLInputElement>("input:checked") ?? own.querySelector("input"))?.focus();
  };
  const submit = async (): Promise<void> => {
    if (isBusy) return;
    const open = criteria.findIndex(({ name }) => marks[name] === undefined);
    if (open >= 0) {
      setMissing(criteria[open]!.title);
      choose(open);
      return;
    }
    setBusy(true);
    try {
      const body = { rater, token: trial.token, ...marks };
      const after = await call<NextTrial>("POST", `/studies/${id}/ratings`, body);
      sessionStorage.removeItem(draftKey(trial.token));
      show(after);
    } catch (failure) {
      setError(failure);
    } finally {
      setBusy(false);
    }
  };
  const back = (): void => {
    if (trial.index > 0) load(trial.index - 1);
  };
  keys.current = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    const at = event.target instanceof HTMLElement ? event.target : undefined;
    const isRadio = at instanceof HTMLInputElement && at.type === "radio";
    if (at?.closest("input, select, textarea") && !isRadio) return;
    const isButton = at?.closest("button, a, summary") !== null && at !== undefined;
    const digit = MARKS.find((one) => String(one) === event.key);
    if (digit !== undefined) {
      change(criteria[active]!.name, digit);
      choose(Math.min(criteria.length - 1, active + 1));
    } else if (event.key === "Enter" && !isButton) void submit();
    else if (event.key === " " && !isButton) setPlays(plays + 1);
    else if (event.key === "ArrowUp" && !isRadio) choose(Math.max(0, active - 1));
    else if (event.key === "ArrowDown" && !isRadio) choose(Math.min(criteria.length - 1, active + 1));
    else if (event.key === "Backspace") back();
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
    >
      <div class="asked">
        <h2>{trial.question}</h2>
        <p class="muted facts" aria-live="polite">
          video {trial.index + 1} of {total} · {done} rated
        </p>
      </div>
      <progress value={done} max={total} aria-label="Rated so far" />
      <SyncedVideos
        key={trial.token}
        replays={plays}
        label="What was there, and what was answered"
        frameRateHz={trial.frameRateHz}
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
                    onChange={() => change(name, value)}
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
      {missing !== undefined && (
        <p class="note warn" role="alert">
          Still to mark: {missing}
        </p>
      )}
      <div class="row between">
        <span class="row">
          <button type="button" class="quiet" disabled={trial.index === 0} onClick={back}>
            <Icon name="back" /> One back
          </button>
          <a class="button quiet" {...linkTo("/rate")}>
            <Icon name="pause" /> Pause
          </a>
        </span>
        <p class="muted small flush keys">
          <kbd>1</kbd>–<kbd>5</kbd> mark · <kbd>↑</kbd> <kbd>↓</kbd> choose · <kbd>Space</kbd> replay ·{" "}
          <kbd>Enter</kbd> next · <kbd>⌫</kbd> back
        </p>
        <button type="button" class="primary" disabled={isBusy} onClick={() => void submit()}>
          Next <Icon name="next" />
        </button>
      </div>
    </div>
  );
}
