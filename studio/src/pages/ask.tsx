/** Ask: a clip and a question in, a clip out; again, otherwise, and on from there. @module */
import { useEffect, useState } from "preact/hooks";
import { type Answer, type AnswerRequest, call, type ClipInfo, type Suite } from "../api.ts";
import { go } from "../location.ts";
import { ClipPicker } from "../parts/clip-picker.tsx";
import { Composer, type Draft } from "../parts/composer.tsx";
import { Failure } from "../parts/failure.tsx";
import { LiveAnswer } from "../parts/live-answer.tsx";
import type { PageProps } from "./table.ts";

/** Longest storyboard, in events. */
const MAX_CHAIN = 12;

function kept(): string[] {
  try {
    return JSON.parse(localStorage.getItem("vans-kept") ?? "[]") as string[];
  } catch {
    return [];
  }
}

export function Ask({ rest }: PageProps) {
  const id = rest === "" ? undefined : rest;
  const [draft, setDraft] = useState<Draft>();
  const [suites, setSuites] = useState<readonly Suite[]>([]);
  const [suite, setSuite] = useState("playroom");
  const [answers, setAnswers] = useState<readonly Answer[]>([]);
  const [error, setError] = useState<unknown>();
  const [isBusy, setBusy] = useState(false);
  const [stars, setStars] = useState<readonly string[]>(kept);

  const reload = (): void => {
    call<{ answers: Answer[] }>("GET", "/answers?limit=60").then(
      (found) => setAnswers(found.answers),
      (failure: unknown) => setError(failure),
    );
  };
  useEffect(() => {
    reload();
    call<{ default: string; suites: Suite[] }>("GET", "/suites").then(
      (found) => {
        setSuites(found.suites);
        setSuite(found.default);
      },
      () => undefined,
    );
  }, []);
  const current = answers.find((answer) => answer.id === id);
  useEffect(() => {
    // A deep link: the clip of the answer is at hand for the next question.
    if (draft || !current) return;
    void clipOf(current).then((clip) => clip && setDraft({ clip, questions: [] }));
  }, [current?.id]);

  const ask = async (request: AnswerRequest): Promise<void> => {
    setError(undefined);
    setBusy(true);
    try {
      const answer = await call<Answer>("POST", "/answers", request);
      setAnswers((before) => [answer, ...before]);
      go(`/ask/${answer.id}`);
    } catch (failure) {
      setError(failure);
    } finally {
      setBusy(false);
    }
  };
  const star = (one: string): void => {
    const next = stars.includes(one) ? stars.filter((other) => other !== one) : [...stars, one];
    setStars(next);
    localStorage.setItem("vans-kept", JSON.stringify(next));
  };
  const { futures, chain } = relativesOf(current, answers);
  return (
    <div class={id === undefined ? "ask" : "ask has-answer"}>
      <section class="side" aria-label="Your question">
        <h1>Ask a clip what comes next</h1>
        {draft ? (
          <Composer
            draft={draft}
            suites={suites}
            suite={suite}
            isBusy={isBusy}
            onAsk={(request) => void ask(request)}
            onOther={() => {
              setDraft(undefined);
              go("/ask");
            }}
          />
        ) : (
          <ClipPicker
            onClip={(clip, questions) => {
              setDraft({ clip, questions });
              if (id !== undefined) go("/ask");
            }}
          />
        )}
        {error !== undefined && <Failure error={error} />}
      </section>
      <section class="stage" aria-label="The answer">
        {id === undefined ? (
          <Welcome hasClip={draft !== undefined} />
        ) : (
          <>
            <LiveAnswer key={id} id={id} onEnd={reload} />
            {current?.state === "done" && (
              <p class="row actions">
                <button
                  type="button"
                  onClick={() =>
                    void ask({ ...askedBefore(current), seed: Number(current.result?.settings.seed ?? 0) + 1 })
                  }
                >
                  ↻ Another seed
                </button>
                {chain.length < MAX_CHAIN && (
                  <button
                    type="button"
                    onClick={() =>
                      void ask({ clip: `answer:${current.id}`, question: "and then?", suite: current.request.suite })
                    }
                  >
                    → And then?
                  </button>
                )}
                <a class="button" href={`${current.result!.files.answer[0]}?download=1`} download>
                  ↓ Video
                </a>
                <a class="button" href={current.result!.files.sheet} target="_blank" rel="noopener">
                  Sheet
                </a>
                <a class="button" href={current.result!.files.json} target="_blank" rel="noopener">
                  Settings
                </a>
                <button type="button" aria-pressed={stars.includes(current.id)} onClick={() => star(current.id)}>
                  {stars.includes(current.id) ? "★ Kept" : "☆ Keep"}
                </button>
              </p>
            )}
            {(current?.state === "failed" || current?.state === "cancelled") && (
              <p class="row actions">
                <button type="button" onClick={() => void ask(askedBefore(current))}>
                  ↻ Ask again
                </button>
              </p>
            )}
            {chain.length > 1 && <Cards title="Storyboard: one event after the other" answers={chain} current={id} stars={stars} numbered />}
            {futures.length > 1 && <Cards title="Futures of this clip" answers={futures} current={id} stars={stars} />}
          </>
        )}
        {answers.length > 0 && (
          <Cards
            title="Asked before"
            answers={[...answers].sort((a, b) => Number(stars.includes(b.id)) - Number(stars.includes(a.id))).slice(0, 12)}
            current={id}
            stars={stars}
          />
        )}
      </section>
    </div>
  );
}

function Welcome({ hasClip }: { readonly hasClip: boolean }) {
  return (
    <div class="welcome">
      <p class="big">{hasClip ? "Now ask." : "Pick a clip, ask, and watch the answer."}</p>
      <ol class="steps">
        <li>It watches the clip and thinks aloud.</li>
        <li>It says in a sentence what comes next.</li>
        <li>It draws that, on your own objects, as a video.</li>
      </ol>
    </div>
  );
}

function Cards({
  title,
  answers,
  current,
  stars,
  numbered = false,
}: {
  readonly title: string;
  readonly answers: readonly Answer[];
  readonly current: string | undefined;
  readonly stars: readonly string[];
  readonly numbered?: boolean;
}) {
  return (
    <section class="cards">
      <h3>{title}</h3>
      <ul class={numbered ? "strip numbered" : "strip"}>
        {answers.map((answer) => (
          <li key={answer.id}>
            <a
              class="card"
              href={`/ask/${answer.id}`}
              aria-current={answer.id === current ? "true" : undefined}
              onClick={(event) => {
                if (event.metaKey || event.ctrlKey) return;
                event.preventDefault();
                go(`/ask/${answer.id}`);
                document.getElementById("main")?.scrollTo({ top: 0 });
              }}
            >
              {answer.result ? (
                <video
                  class="video"
                  src={`${answer.result.files.answer[0]}#t=1.9`}
                  muted
                  playsInline
                  loop
                  preload="metadata"
                  onMouseEnter={(event) => void event.currentTarget.play().catch(() => undefined)}
                  onMouseLeave={(event) => event.currentTarget.pause()}
                />
              ) : (
                <span class={`video blank${answer.state === "running" ? " pulse" : ""}`}>{answer.state}</span>
              )}
              <span class="line">
                {stars.includes(answer.id) && "★ "}
                {answer.request.question}
              </span>
              <span class="line muted">{answer.result?.caption ?? answer.error?.message ?? ""}</span>
            </a>
          </li>
        ))}
      </ul>
    </section>
  );
}

/** The request of an answer, to be asked once more. */
function askedBefore(answer: Answer): AnswerRequest {
  const { group: _group, ...request } = answer.request;
  return request;
}

/** Answers to the same clip, and the line of answers that led here and goes on from here. */
function relativesOf(
  current: Answer | undefined,
  answers: readonly Answer[],
): { readonly futures: readonly Answer[]; readonly chain: readonly Answer[] } {
  if (!current) return { futures: [], chain: [] };
  const futures = answers.filter(({ request }) => request.clip === current.request.clip);
  const chain: Answer[] = [current];
  for (let parent = current.parent; parent !== null && chain.length <= MAX_CHAIN; ) {
    const before = answers.find(({ id }) => id === parent);
    if (!before) break;
    chain.unshift(before);
    parent = before.parent;
  }
  for (let last = current; chain.length <= MAX_CHAIN; ) {
    const next = answers.find(({ parent }) => parent === last.id);
    if (!next) break;
    chain.push(next);
    last = next;
  }
  return { futures, chain };
}

/** The clip that an answer is about. */
async function clipOf(answer: Answer): Promise<ClipInfo | undefined> {
  const { clip } = answer.request;
  if (clip.startsWith("answer:")) {
    const id = clip.slice("answer:".length);
    return { id: clip, name: "an answer", content: `/api/v1/answers/${id}/files/answer.mp4`, isStill: false };
  }
  try {
    const { examples } = await call<{ examples: (ClipInfo & { id: string })[] }>("GET", "/examples");
    return examples.find(({ id }) => id === clip) ?? (await call<ClipInfo>("GET", `/uploads/${clip}`));
  } catch {
    return undefined;
  }
}
