/** Ask: a clip and a question in, a clip out; again, otherwise, and on from there. @module */
import { useEffect, useState } from "preact/hooks";
import {
  type Answer,
  type AnswerRequest,
  type ClipInfo,
  call,
  follow,
  isFinal,
  type Suite,
} from "../../api.ts";
import { go, linkTo } from "../../location.ts";
import { AnswerCard } from "../../parts/answer-card.tsx";
import { clipOf } from "../../parts/clip-of.ts";
import { ClipPicker } from "../../parts/clip-picker.tsx";
import { Composer, type Draft } from "../../parts/composer.tsx";
import { Failure } from "../../parts/failure.tsx";
import { Fan } from "../../parts/fan.tsx";
import { Icon } from "../../parts/icons.tsx";
import { LiveAnswer } from "../../parts/live-answer.tsx";
import { Storyboard } from "../../parts/storyboard.tsx";
import type { PageProps } from "../table.ts";

/** Longest storyboard, in events. */
const MAX_CHAIN = 12;
/** Futures that are shown at most. */
const MAX_FAN = 8;

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
  const [goal, setGoal] = useState<number>();
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
    // A deep link to an old answer, or to one whose story began long ago: what the list lacks of its line.
    const lacking = missingOf(id, answers);
    if (lacking === undefined || answers.length === 0) return;
    call<Answer>("GET", `/answers/${encodeURIComponent(lacking)}`).then(
      (found) => setAnswers((before) => (before.some((one) => one.id === found.id) ? before : [...before, found])),
      // The live answer tells what is wrong with it.
      () => undefined,
    );
  }, [id, answers]);
  useEffect(() => {
    // A deep link: the clip of the answer is at hand for the next question.
    if (draft || !current) return;
    void clipOf(current).then((clip) => clip && setDraft({ clip, questions: [] }));
  }, [current?.id]);

  const ask = async (request: AnswerRequest): Promise<void> => {
    const answer = await post(request);
    if (answer) go(`/ask/${answer.id}`);
  };
  const post = async (request: AnswerRequest): Promise<Answer | undefined> => {
    setError(undefined);
    setBusy(true);
    try {
      const answer = await call<Answer>("POST", "/answers", request);
      setAnswers((before) => [answer, ...before]);
      return answer;
    } catch (failure) {
      setError(failure);
      return undefined;
    } finally {
      setBusy(false);
    }
  };
  const more = async (of: Answer, count: number): Promise<void> => {
    const seeds = futures.map(({ request, result }) => Number(result?.settings.seed ?? request.seed ?? 0));
    const first = Math.max(0, ...seeds) + 1;
    for (let index = 0; index < count; index++) {
      const answer = await post({ ...askedBefore(of), samples: 1, seed: first + index });
      if (!answer) return;
      watch(answer.id);
    }
  };
  /** Looks again when an answer that is not on the stage ends. */
  const watch = (one: string): void => {
    follow(one, {
      state: (now) => setAnswers((before) => before.map((answer) => (answer.id === now.id ? now : answer))),
    });
  };
  const goOn = (last: Answer): Promise<void> =>
    ask({
      clip: `answer:${last.id}`,
      question: "and then?",
      suite: last.request.suite,
      ...(last.request.seed !== undefined && { seed: last.request.seed }),
    });
  const remove = async (one: Answer): Promise<void> => {
    try {
      await call("DELETE", `/answers/${one.id}`);
      setAnswers((before) => before.filter(({ id }) => id !== one.id));
      go("/ask");
    } catch (failure) {
      setError(failure);
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
            <LiveAnswer
              key={id}
              id={id}
              onEnd={(ended) => {
                setAnswers((before) =>
                  before.some((one) => one.id === ended.id)
                    ? before.map((one) => (one.id === ended.id ? ended : one))
                    : [ended, ...before],
                );
                if (goal === undefined) return;
                if (ended.state === "done" && chain.length < goal) void goOn(ended);
                else setGoal(undefined);
              }}
            />
            {current && isFinal(current) && (
              <div class="row actions tight" role="group" aria-label="What to do with this answer">
                {current.state === "done" ? (
                  <>
                    <button
                      type="button"
                      onClick={() =>
                        void ask({
                          ...askedBefore(current),
                          seed: Number(current.result?.settings.seed ?? 0) + 1,
                        })
                      }
                    >
                      <Icon name="again" /> Another seed
                    </button>
                    {chain.length < MAX_CHAIN && chain.at(-1)?.id === current.id && (
                      <button type="button" onClick={() => void goOn(current)}>
                        <Icon name="next" /> And then?
                      </button>
                    )}
                    {futures.length < 2 && (
                      <button type="button" onClick={() => void more(current, 3)}>
                        <Icon name="fan" /> Futures
                      </button>
                    )}
                    <a class="button" {...linkTo(`/compare?from=${current.id}`)}>
                      <Icon name="columns" /> Compare
                    </a>
                    <a class="button" href={`${current.result!.files.answer[0]}?download=1`} download>
                      <Icon name="download" /> Video
                    </a>
                    <a class="button quiet" title="Sheet of all frames" href={current.result!.files.sheet} target="_blank" rel="noopener">
                      <Icon name="sheet" />
                      <span class="sr">Sheet of all frames</span>
                    </a>
                    <a class="button quiet" title="All settings as JSON" href={current.result!.files.json} target="_blank" rel="noopener">
                      <Icon name="braces" />
                      <span class="sr">All settings as JSON</span>
                    </a>
                    <button
                      type="button"
                      class="quiet"
                      aria-pressed={stars.includes(current.id)}
                      onClick={() => star(current.id)}
                    >
                      <Icon name="star" filled={stars.includes(current.id)} />{" "}
                      {stars.includes(current.id) ? "Kept" : "Keep"}
                    </button>
                  </>
                ) : (
                  <button type="button" onClick={() => void ask(askedBefore(current))}>
                    <Icon name="again" /> Ask again
                  </button>
                )}
                <button type="button" class="quiet" title="Delete" onClick={() => void remove(current)}>
                  <Icon name="trash" />
                  <span class="sr">Delete</span>
                </button>
              </div>
            )}
            {current && chain.length > 1 && (
              <Storyboard
                chain={chain}
                current={current.id}
                most={MAX_CHAIN}
                goal={goal}
                onStop={() => setGoal(undefined)}
                onNext={(count) => {
                  if (count > 1) setGoal(chain.length + count);
                  void goOn(chain.at(-1)!);
                }}
              />
            )}
            {current && futures.length > 1 && (
              <Fan
                futures={futures.slice(0, MAX_FAN)}
                current={current}
                onMore={(count) => void more(current, count)}
              />
            )}
          </>
        )}
      </section>
      {answers.length > 0 && (
        <section class="cards" aria-label="Asked before">
          <h3>Asked before</h3>
          <ul class="strip">
            {[...answers]
              .sort((a, b) => Number(stars.includes(b.id)) - Number(stars.includes(a.id)))
              .slice(0, 12)
              .map((answer) => (
                <li key={answer.id}>
                  <AnswerCard
                    answer={answer}
                    isCurrent={answer.id === id}
                    isKept={stars.includes(answer.id)}
                  />
                </li>
              ))}
          </ul>
        </section>
      )}
    </div>
  );
}

function Welcome({ hasClip }: { readonly hasClip: boolean }) {
  return (
    <div class="welcome">
      <p class="big">
        {hasClip ? "Now ask, and watch the answer come." : "Pick a clip, ask, and watch the answer."}
      </p>
      <ol class="stages">
        <li>
          <b>It thinks aloud</b>
          <span>It watches the clip and tells what it sees and what follows from it.</span>
        </li>
        <li>
          <b>It says what comes next</b>
          <span>In one sentence.</span>
        </li>
        <li>
          <b>It shows it</b>
          <span>As a video, on your own objects, sharpening step by step.</span>
        </li>
      </ol>
    </div>
  );
}

/** The request of an answer, to be asked once more. */
function askedBefore(answer: Answer): AnswerRequest {
  const { group: _group, ...request } = answer.request;
  return request;
}

/** The next answer of a line of answers that is not at hand, going back from one. */
function missingOf(id: string | undefined, answers: readonly Answer[]): string | undefined {
  let wanted: string | null = id ?? null;
  for (let length = 0; wanted !== null && length < MAX_CHAIN; length++) {
    const found = answers.find((one) => one.id === wanted);
    if (!found) return wanted;
    wanted = found.parent;
  }
  return undefined;
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
