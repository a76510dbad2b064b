/** The studies that there are, and how one is made. @module */
import { useEffect, useState } from "preact/hooks";
import { type Answer, call } from "../../api.ts";
import { go, linkTo, useQuery } from "../../location.ts";
import { Failure } from "../../parts/failure.tsx";
import { Icon } from "../../parts/icons.tsx";
import type { ReportEntry } from "../compare/report-api.ts";
import { type ListedStudy, lastRater, ratingPath } from "./study-api.ts";

/** Answers to one question that were asked for together. */
interface Group {
  readonly name: string;
  readonly question: string;
  readonly count: number;
}

export function Studies() {
  const [query] = useQuery();
  const [studies, setStudies] = useState<readonly ListedStudy[]>();
  const [groups, setGroups] = useState<readonly Group[]>([]);
  const [answers, setAnswers] = useState(0);
  const [name, setName] = useState("");
  const [group, setGroup] = useState(query.get("group") ?? "");
  const [source, setSource] = useState<"answers" | "reports">("answers");
  const [reports, setReports] = useState<readonly ReportEntry[]>([]);
  const [picks, setPicks] = useState<readonly string[]>([]);
  const [questions, setQuestions] = useState("12");
  const [hasTruth, setTruth] = useState(false);
  const [error, setError] = useState<unknown>();
  const [isBusy, setBusy] = useState(false);

  const load = (): void => {
    call<{ studies: ListedStudy[] }>("GET", "/studies").then(
      (found) => setStudies(found.studies),
      (failure: unknown) => setError(failure),
    );
  };
  useEffect(() => {
    load();
    call<{ answers: Answer[] }>("GET", "/answers?state=done&limit=200").then(
      (found) => {
        const byName = new Map<string, Group>();
        for (const answer of found.answers)
          if (answer.group !== null)
            byName.set(answer.group, {
              name: answer.group,
              question: answer.request.question,
              count: (byName.get(answer.group)?.count ?? 0) + 1,
            });
        setGroups([...byName.values()].filter(({ count }) => count > 1));
        setAnswers(found.answers.length);
      },
      () => undefined,
    );
    call<{ reports: ReportEntry[] }>("GET", "/reports").then(
      (found) => setReports(found.reports),
      () => undefined,
    );
  }, []);

  const make = async (event: Event): Promise<void> => {
    event.preventDefault();
    setBusy(true);
    setError(undefined);
    try {
      const made = await call<ListedStudy>("POST", "/studies", {
        name: name.trim(),
        // Another order for another study.
        seed: crypto.getRandomValues(new Uint32Array(1))[0]! >>> 1,
        ...(source === "answers"
          ? { fromAnswers: group === "" ? {} : { group } }
          : {
              fromReports: {
                reports: picks.map((one) => ({ name: one })),
                questions: Number(questions) || 12,
                truth: hasTruth,
              },
            }),
      });
      go(ratingPath(made.id, lastRater()));
    } catch (failure) {
      setError(failure);
      setBusy(false);
    }
  };
  const remove = async (study: ListedStudy): Promise<void> => {
    if (!confirm(`Delete “${study.name}” with its ${study.ratings} ratings?`)) return;
    await call("DELETE", `/studies/${study.id}`).catch((failure: unknown) => setError(failure));
    load();
  };
  const hasSomething = source === "answers" ? answers > 0 : picks.length > 0;
  const rater = lastRater();
  return (
    <div class="ask">
      <section class="side" aria-labelledby="new-study">
        <h2 id="new-study">New study</h2>
        <form class="composer" onSubmit={(event) => void make(event)}>
          <label>
            Name
            <input
              required
              maxLength={100}
              value={name}
              placeholder="pilot with three raters"
              onInput={(event) => setName(event.currentTarget.value)}
            />
          </label>
          <div class="segments" role="group" aria-label="What is rated">
            <button type="button" aria-pressed={source === "answers"} onClick={() => setSource("answers")}>
              Answers
            </button>
            <button type="button" aria-pressed={source === "reports"} onClick={() => setSource("reports")}>
              Evaluation reports
            </button>
          </div>
          {source === "answers" ? (
            <label>
              Which answers
              <select value={group} onChange={(event) => setGroup(event.currentTarget.value)}>
                <option value="">all {answers} finished answers</option>
                {groups.map((one) => (
                  <option key={one.name} value={one.name}>
                    {one.question} ({one.count} answers)
                  </option>
                ))}
              </select>
            </label>
          ) : (
            reports.length > 0 && (
              <>
                <fieldset class="picks">
                  <legend>Reports of the same samples</legend>
                  {reports.map((report) => (
                    <label key={report.name} class="pick">
                      <input
                        type="checkbox"
                        checked={picks.includes(report.name)}
                        onChange={() =>
                          setPicks(
                            picks.includes(report.name)
                              ? picks.filter((one) => one !== report.name)
                              : [...picks, report.name],
                          )
                        }
                      />
                      <span>
                        <b>{report.name}</b>
                        <span class="line muted">
                          {[report.suite, report.evaluated !== undefined && `${report.evaluated} samples`]
                            .filter(Boolean)
                            .join(" · ")}
                        </span>
                      </span>
                    </label>
                  ))}
                  <label class="pick">
                    <input type="checkbox" checked={hasTruth} onChange={() => setTruth(!hasTruth)} />
                    <span>
                      <b>The rendered truth</b>
                      <span class="line muted">what a perfect answer would get</span>
                    </span>
                  </label>
                </fieldset>
                <label>
                  Questions
                  <input
                    type="number"
                    min={1}
                    max={100}
                    value={questions}
                    onInput={(event) => setQuestions(event.currentTarget.value)}
                  />
                </label>
              </>
            )
          )}
          <button type="submit" class="primary wide" disabled={isBusy || name.trim() === "" || !hasSomething}>
            {isBusy ? "Making it …" : "Begin"}
          </button>
          {source === "reports" && reports.length === 0 && (
            <p class="muted small">
              There are no reports yet: <code>vans evaluate</code> makes one.
            </p>
          )}
          {source === "answers" && answers === 0 && (
            <p class="muted small">
              There is nothing to rate yet: <a {...linkTo("/compare")}>ask several suites</a> first.
            </p>
          )}
        </form>
        {error !== undefined && <Failure error={error} />}
      </section>
      <section class="stage" aria-label="Studies">
        {studies === undefined ? (
          <p class="muted">Looking for studies …</p>
        ) : studies.length === 0 ? (
          <div class="welcome">
            <p class="big">Which answers do people prefer?</p>
            <p class="muted">
              A study shows answers one by one, in an order of its own for everybody, without telling who made
              them. Three marks from 1 to 5; the keys 1 to 5 and Enter are enough. Means with intervals and
              the raters' agreement come out as CSV and JSON.
            </p>
          </div>
        ) : (
          <ul class="groups">
            {studies.map((study) => (
              <li key={study.id} class="row">
                <a class="card wide study" {...linkTo(ratingPath(study.id, rater))}>
                  <Icon name="star" />
                  <span>
                    <span class="line strong">{study.name}</span>
                    <span class="line muted">
                      {counted(study.items, "question")}, {counted(study.trials, "video")} ·{" "}
                      {counted(study.raters, "rater")}, {counted(study.ratings, "rating")}
                      {rater !== "" && study.ratings > 0 && ` · go on as ${rater}`}
                    </span>
                  </span>
                  <Icon name="on" />
                </a>
                <a class="button quiet small" {...linkTo(`/rate/${study.id}/results`)}>
                  Results
                  <span class="sr"> of {study.name}</span>
                </a>
                <button
                  type="button"
                  class="quiet small"
                  aria-label={`Delete ${study.name}`}
                  onClick={() => void remove(study)}
                >
                  <Icon name="trash" />
                </button>
              </li>
            ))}
          </ul>
        )}
      </section>
    </div>
  );
}

const counted = (count: number, what: string): string => `${count} ${what}${count === 1 ? "" : "s"}`;
