/** What a study says: means with intervals, and how far raters agree. @module */
import { useEffect, useState } from "preact/hooks";
import { call } from "../../api.ts";
import { useQuery } from "../../location.ts";
import { Failure } from "../../parts/failure.tsx";
import { Icon } from "../../parts/icons.tsx";
import { CRITERION_NAMES, type CriterionName, type StudyResults } from "./study-api.ts";

const TITLES: Readonly<Record<CriterionName, string>> = {
  semantic: "Semantic correctness",
  visual: "Visual consistency",
  overall: "Overall",
};

export function Results({ id }: { readonly id: string }) {
  const [results, setResults] = useState<StudyResults>();
  const [error, setError] = useState<unknown>();
  const [query, change] = useQuery();
  // Results open only when they are asked for; the address then says so.
  const isOpen = query.has("show");
  useEffect(() => {
    call<StudyResults>("GET", `/studies/${id}`).then(setResults, (failure: unknown) => setError(failure));
  }, [id]);
  if (error !== undefined) return <Failure error={error} />;
  if (!results) return <p class="muted">Adding up …</p>;
  const { summary } = results;
  if (summary.ratings === 0)
    return (
      <div class="welcome">
        <p class="big">Nobody has rated yet.</p>
        <p class="muted">Send others the address of the tab “Rate”.</p>
      </div>
    );
  if (!isOpen)
    return (
      <div class="welcome">
        <p class="big">The results tell who made which answers.</p>
        <p class="muted">Who still wants to rate should not look.</p>
        <button type="button" class="primary" onClick={() => change({ show: "1" })}>
          Show the results
        </button>
      </div>
    );
  return (
    <div class="answer">
      <div class="asked">
        <h2>{results.name}</h2>
        <p class="muted facts">
          {summary.raters} raters · {summary.ratings} of {results.trials * summary.raters} ratings
        </p>
      </div>
      <div class="outcomes">
        {CRITERION_NAMES.map((name) => (
          <section key={name} aria-label={TITLES[name]}>
            <h3>{TITLES[name]}</h3>
            <table>
              <thead>
                <tr>
                  <th scope="col">System</th>
                  <th scope="col" class="whisker-head">
                    <span class="row between">
                      <span>1</span>
                      <span class="sr">to</span>
                      <span>5</span>
                    </span>
                  </th>
                  <th scope="col" class="number">
                    Mean
                  </th>
                </tr>
              </thead>
              <tbody>
                {summary.systems.map(({ name: system, means, ratings }) => {
                  const mean = means?.[name];
                  return (
                    <tr key={system}>
                      <th scope="row">
                        {system}
                        <span class="muted small interval about">
                          {ratings} rating{ratings === 1 ? "" : "s"}
                        </span>
                      </th>
                      <td>{mean && <Whisker {...mean} />}</td>
                      <td class="number">
                        {mean ? mean.value.toFixed(2) : "–"}
                        {mean && mean.n > 1 && (
                          <span class="muted small interval">
                            {mean.low.toFixed(2)}–{mean.high.toFixed(2)}
                          </span>
                        )}
                      </td>
                    </tr>
                  );
                })}
              </tbody>
            </table>
            <p class="muted small">
              Agreement (Krippendorff's alpha):{" "}
              {summary.agreement[name] === null
                ? "needs two raters of one video, and marks that differ"
                : `${summary.agreement[name].toFixed(2)}, ${wordsFor(summary.agreement[name])}`}
            </p>
          </section>
        ))}
      </div>
      <p class="muted small">
        {summary.systems.some(({ means }) => means && means.overall.n > 1)
          ? "Below each mean its 95 % interval, bootstrapped over questions."
          : "One question gives no interval: it would say nothing of other questions."}
      </p>
      <div class="row actions">
        <a class="button" href={`/api/v1/studies/${id}/export.csv`} download>
          <Icon name="download" /> CSV
        </a>
        <a class="button" href={`/api/v1/studies/${id}/export.json`} download>
          <Icon name="download" /> JSON
        </a>
      </div>
    </div>
  );
}

/** What an agreement allows, by Krippendorff's usual bounds. */
function wordsFor(alpha: number): string {
  if (alpha >= 0.8) return "which is good";
  return alpha >= 0.667 ? "enough for tentative conclusions" : "too low to conclude much";
}

/** A mean with its interval on the scale; the numbers stand beside it. */
function Whisker({
  value,
  low,
  high,
}: {
  readonly value: number;
  readonly low: number;
  readonly high: number;
}) {
  const at = (mark: number): number => ((mark - 1) / 4) * 200 + 4;
  return (
    <svg class="whisker" viewBox="0 0 208 20" aria-hidden="true" focusable="false">
      {[1, 2, 3, 4, 5].map((mark) => (
        <line key={mark} class="tick" x1={at(mark)} x2={at(mark)} y1="4" y2="16" />
      ))}
      <line class="span" x1={at(low)} x2={at(high)} y1="10" y2="10" />
      <circle cx={at(value)} cy="10" r="4.5" />
    </svg>
  );
}
