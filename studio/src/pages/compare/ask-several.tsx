/** The same question to several systems. @module */
import { useEffect, useState } from "preact/hooks";
import { type Answer, type ClipInfo, call, type Suite } from "../../api.ts";
import { go, linkTo, useQuery } from "../../location.ts";
import { clipOf } from "../../parts/clip-of.ts";
import { ClipPicker } from "../../parts/clip-picker.tsx";
import { Failure } from "../../parts/failure.tsx";
import { Icon } from "../../parts/icons.tsx";

/** What the ways to answer are, in words. */
const ABOUT: Readonly<Record<string, string>> = {
  suite: "as it answers: thinks, writes a caption, draws it behind the clip",
  cascade: "the caption alone: the video model does not see the clip",
  extension: "no caption: the video model goes on with the clip",
};

/** Marks the groups that are comparisons. */
export const GROUP_PREFIX = "compare-";

export function AskSeveral() {
  const [query] = useQuery();
  const [clip, setClip] = useState<ClipInfo>();
  const [question, setQuestion] = useState("");
  const [picks, setPicks] = useState<readonly string[]>([]);
  const [questions, setQuestions] = useState<readonly string[]>([]);
  const [seed, setSeed] = useState("0");
  const [suites, setSuites] = useState<readonly Suite[]>([]);
  const [before, setBefore] = useState<ReadonlyMap<string, readonly Answer[]>>(new Map());
  const [error, setError] = useState<unknown>();
  const [isBusy, setBusy] = useState(false);
  const choices = suites
    .filter(({ isReady }) => isReady)
    .flatMap((suite) =>
      (suite.systems ?? ["suite"]).map((system) => ({ suite, system, key: `${suite.name} ${system}` })),
    );

  useEffect(() => {
    call<{ default: string; suites: Suite[] }>("GET", "/suites").then(
      ({ suites: found, default: usual }) => {
        setSuites(found);
        const ready = found.filter(({ isReady }) => isReady);
        setPicks([
          ...ready.slice(0, 3).map(({ name }) => `${name} suite`),
          ...(ready.find(({ name }) => name === usual)?.systems ?? [])
            .filter((system) => system !== "suite")
            .map((system) => `${usual} ${system}`),
        ]);
      },
      (failure: unknown) => setError(failure),
    );
    call<{ answers: Answer[] }>("GET", "/answers?limit=200").then(
      ({ answers }) => {
        const groups = new Map<string, Answer[]>();
        for (const answer of answers)
          if (answer.group?.startsWith(GROUP_PREFIX))
            groups.set(answer.group, [...(groups.get(answer.group) ?? []), answer]);
        setBefore(groups);
      },
      () => undefined,
    );
  }, []);
  const from = query.get("from");
  useEffect(() => {
    if (from === null) return;
    call<Answer>("GET", `/answers/${from}`).then(
      async (answer) => {
        setClip(await clipOf(answer));
        setQuestion(answer.request.question);
        setSeed(String(answer.result?.settings.seed ?? answer.request.seed ?? 0));
      },
      (failure: unknown) => setError(failure),
    );
  }, [from]);

  const ask = async (event: Event): Promise<void> => {
    event.preventDefault();
    if (!clip) return;
    setBusy(true);
    setError(undefined);
    const group = `${GROUP_PREFIX}${crypto.randomUUID().slice(0, 13)}`;
    try {
      for (const { suite, system, key } of choices)
        if (picks.includes(key))
          await call<Answer>("POST", "/answers", {
            clip: clip.id,
            question: question.trim(),
            suite: suite.name,
            group,
            seed: Number(seed) || 0,
            ...(system !== "suite" && { system }),
          });
      go(`/compare/${group}`);
    } catch (failure) {
      setError(failure);
      setBusy(false);
    }
  };
  return (
    <div class="ask">
      <section class="side" aria-label="Your question">
        {clip ? (
          <form class="composer" onSubmit={(event) => void ask(event)}>
            <div class="chosen">
              {clip.isStill ? (
                <img class="video" src={clip.content} alt={`The picture ${clip.name}`} />
              ) : (
                <video
                  class="video"
                  src={clip.content}
                  muted
                  loop
                  autoplay
                  playsInline
                  aria-label={`The clip ${clip.name}`}
                />
              )}
              <p class="row between">
                <span class="muted clipname">{clip.name}</span>
                <button type="button" class="quiet small" onClick={() => setClip(undefined)}>
                  Another clip
                </button>
              </p>
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
              />
            </label>
            {questions.length > 0 && (
              <p class="chips" role="group" aria-label="Questions to pick">
                {questions.map((one) => (
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
            )}
            <fieldset class="picks">
              <legend>Who answers</legend>
              {choices.map(({ suite, system, key }) => (
                <label key={key} class="pick">
                  <input
                    type="checkbox"
                    checked={picks.includes(key)}
                    onChange={() =>
                      setPicks(picks.includes(key) ? picks.filter((one) => one !== key) : [...picks, key])
                    }
                  />
                  <span>
                    <b>
                      {suite.name}
                      {system !== "suite" && ` · ${system}`}
                    </b>
                    <span class="line muted">{system === "suite" ? suite.about : ABOUT[system]}</span>
                  </span>
                </label>
              ))}
            </fieldset>
            <label>
              Seed, the same for all
              <input
                type="number"
                min={0}
                value={seed}
                onInput={(event) => setSeed(event.currentTarget.value)}
              />
            </label>
            <button
              type="submit"
              class="primary wide"
              disabled={isBusy || picks.length === 0 || question.trim() === ""}
            >
              Ask {picks.length > 1 ? `all ${picks.length}` : ""}
            </button>
          </form>
        ) : (
          <ClipPicker
            onClip={(picked, asked) => {
              setClip(picked);
              setQuestions(asked);
              if (question === "") setQuestion(asked[0] ?? "");
            }}
          />
        )}
        {error !== undefined && <Failure error={error} />}
      </section>
      <section class="stage" aria-label="Comparisons">
        {before.size === 0 ? (
          <div class="welcome">
            <p class="big">One clip, one question, several answers.</p>
            <p class="muted">
              They play on one timeline, with what differs between them as numbers and as pictures.
            </p>
          </div>
        ) : (
          <>
            <h2>Compared before</h2>
            <ul class="groups">
              {[...before].map(([group, answers]) => (
                <li key={group}>
                  <a class="card wide" {...linkTo(`/compare/${group}`)}>
                    <span class="thumbs">
                      {answers
                        .filter(({ result }) => result)
                        .slice(0, 4)
                        .map(({ id, result }) => (
                          <video
                            key={id}
                            class="video"
                            src={`${result!.files.answer[0]}#t=1.9`}
                            muted
                            playsInline
                            preload="metadata"
                            aria-hidden="true"
                            tabIndex={-1}
                          />
                        ))}
                    </span>
                    <span>
                      <span class="line strong">{answers[0]?.request.question}</span>
                      <span class="line muted">{[...answers].reverse().map(nameOf).join(", ")}</span>
                    </span>
                    <Icon name="on" />
                  </a>
                </li>
              ))}
            </ul>
          </>
        )}
      </section>
    </div>
  );
}

/** Suite and way to answer. */
export function nameOf({ request }: Answer): string {
  return request.system && request.system !== "suite"
    ? `${request.suite} · ${request.system}`
    : request.suite;
}
