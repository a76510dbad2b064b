/** One run: curves, sheets, machine, recipe, and what it differs in from another. @module */
import { useEffect, useMemo, useState } from "preact/hooks";
import { call } from "../../api.ts";
import { useQuery } from "../../location.ts";
import { Failure } from "../../parts/failure.tsx";
import { Curve, least, most } from "./curve.tsx";
import {
  type Explanation,
  type FieldDifference,
  joined,
  type Run,
  type RunDetails,
  type RunLog,
  type Sheet,
  type SeriesByName,
  shortNumber,
  type Use,
} from "./run-api.ts";
import { SheetsOverTime } from "./sheets-over-time.tsx";

/** Curves that are looked at first. */
const OPEN_GROUPS = ["Learning", "Rewards", "Held out"];
const ALARMS = "Alarms";

type Names = readonly string[];
const rangAt = (names: Names, series: SeriesByName): Names =>
  names.filter((one) => series[one]!.values.some((value) => value !== 0));

/** Alarms are opened where one has rung. */
function isOpenGroup(group: string, names: Names, series: SeriesByName): boolean {
  return OPEN_GROUPS.includes(group) || (group === ALARMS && rangAt(names, series).length > 0);
}

function rung(names: Names, series: SeriesByName): string {
  const count = rangAt(names, series).length;
  return count === 0 ? "none has rung" : `${count} rang at some step`;
}

/** Measurements of the machine over the minutes of a run. */
function seriesOfUses(uses: readonly Use[], of: (use: Use) => number) {
  const begun = Date.parse(uses[0]!.at);
  return {
    steps: uses.map(({ at }) => Math.round((Date.parse(at) - begun) / 1000)),
    values: uses.map(of),
  };
}

/** Uses of the machine that are kept for the picture. */
const KEPT_USES = 600;

export function RunView({ name }: { readonly name: string }) {
  const [query, change] = useQuery();
  const [run, setRun] = useState<RunDetails>();
  const [log, setLog] = useState<RunLog>();
  const [series, setSeries] = useState<SeriesByName>({});
  const [sheets, setSheets] = useState<readonly Sheet[]>([]);
  const [uses, setUses] = useState<readonly Use[]>([]);
  const [isLive, setLive] = useState(true);
  const [others, setOthers] = useState<readonly Run[]>([]);
  const [otherSeries, setOtherSeries] = useState<SeriesByName>({});
  const [fields, setFields] = useState<readonly FieldDifference[] | null>();
  const [error, setError] = useState<unknown>();
  const path = `/runs/${encodeURIComponent(name)}`;
  const smoothing = Number(query.get("smoothing") ?? "0.6");
  const isLog = query.get("log") === "1";
  const find = query.get("find") ?? "";
  const against = query.get("with") ?? "";

  useEffect(() => {
    const fail = (failure: unknown): void => setError(failure);
    call<RunDetails>("GET", path).then((found) => {
      setRun(found);
      setUses(found.resources);
    }, fail);
    call<RunLog>("GET", `${path}/log`).then((found) => {
      setLog(found);
      setSeries(found.series);
    }, fail);
    call<{ sheets: Sheet[] }>("GET", `${path}/sheets`).then((found) => setSheets(found.sheets), fail);
    call<{ runs: Run[] }>("GET", "/runs").then(
      (found) => setOthers(found.runs.filter((one) => one.name !== name)),
      () => undefined,
    );
    const source = new EventSource(`/api/v1${path}/events`);
    source.addEventListener("open", () => setLive(true));
    source.addEventListener("error", () => setLive(false));
    const on = (event: string, take: (data: never) => void): void =>
      source.addEventListener(event, (message) =>
        take(JSON.parse((message as MessageEvent<string>).data) as never),
      );
    on("log", ({ isFresh, series: more }: { isFresh: boolean; series: SeriesByName }) =>
      setSeries((before) => (isFresh ? more : joined(before, more))),
    );
    on("sheets", (data: { sheets: Sheet[] }) => setSheets(data.sheets));
    on("run", (data: Run) => setRun((before) => (before ? { ...before, ...data } : before)));
    on("use", (data: Use) => setUses((before) => [...before.slice(1 - KEPT_USES), data]));
    return () => source.close();
  }, [name]);
  useEffect(() => {
    setOtherSeries({});
    setFields(undefined);
    if (against === "") return;
    call<RunLog>("GET", `/runs/${encodeURIComponent(against)}/log`).then(
      (found) => setOtherSeries(found.series),
      (failure: unknown) => setError(failure),
    );
    call<{ fields: FieldDifference[] | null }>("GET", `${path}/diff/${encodeURIComponent(against)}`).then(
      (found) => setFields(found.fields),
      () => setFields(null),
    );
  }, [against]);

  const names = useMemo(() => Object.keys(series), [series]);
  if (error !== undefined && !run) return <Failure error={error} />;
  if (!run || !log) return <p class="muted">Reading the log …</p>;
  const explain = (one: string): Explanation | undefined => log.explanations[one];
  const act = (what: () => Promise<unknown>) => (): void => {
    setError(undefined);
    what().then(
      () => call<RunDetails>("GET", path).then(setRun),
      (failure: unknown) => setError(failure),
    );
  };
  const isActive = run.state === "running" || run.state === "queued";
  const fitting = names.filter((one) => one.toLowerCase().includes(find.toLowerCase()));
  const groupOf = (one: string): string => explain(one)?.group ?? "Other";
  const groups = log.groups
    .map((group) => ({ group, names: fitting.filter((one) => groupOf(one) === group) }))
    .filter((one) => one.names.length > 0);
  return (
    <div class="run-view">
      <header class="answer">
        <div class="asked">
          <h2>{run.title}</h2>
          <p class="muted facts" aria-live="polite">
            <span class={`state ${run.state}`}>{run.state}</span> step {run.lastStep}
            {run.steps !== null && ` of ${run.steps}`}
            {!isLive && " · not connected, trying again"}
          </p>
        </div>
        {run.about && <p class="muted">{run.about}</p>}
        {run.steps !== null && (
          <progress value={Math.min(run.lastStep, run.steps)} max={run.steps} aria-label="Steps done" />
        )}
        {run.error && <Failure error={run.error} />}
        {error !== undefined && <Failure error={error} />}
        <div class="row actions">
          {isActive && run.job !== null && (
            <button type="button" onClick={act(() => call("POST", `${path}/stop`))}>
              Stop with a checkpoint
            </button>
          )}
          {!isActive && run.canResume && (
            <button
              type="button"
              class="primary"
              onClick={act(() => call("POST", "/runs", { recipe: run.title, name: run.name, resume: true }))}
            >
              Go on from the checkpoint
            </button>
          )}
        </div>
      </header>

      <section class="answer" aria-labelledby="curves">
        <h2 id="curves">Curves</h2>
        <div class="toolbar">
          <label class="inline">
            Find
            <input
              type="search"
              value={find}
              placeholder="reward, kl, held …"
              onInput={(event) => change({ find: event.currentTarget.value })}
            />
          </label>
          <label class="inline">
            Smoothing
            <input
              type="range"
              min={0}
              max={0.98}
              step={0.02}
              value={smoothing}
              style={{ "--share": smoothing / 0.98 }}
              onInput={(event) => change({ smoothing: event.currentTarget.value })}
            />
          </label>
          <label class="inline">
            <input type="checkbox" checked={isLog} onChange={() => change({ log: isLog ? "" : "1" })} />
            logarithmic
          </label>
          <label class="inline">
            beside
            <select value={against} onChange={(event) => change({ with: event.currentTarget.value })}>
              <option value="">no other run</option>
              {others.map((one) => (
                <option key={one.name} value={one.name}>
                  {one.group ? `${one.group} / ` : ""}
                  {one.title}
                </option>
              ))}
            </select>
          </label>
        </div>
        {names.length === 0 ? (
          <p class="muted">Nothing is logged yet.</p>
        ) : (
          groups.map(({ group, names: own }) => (
            <details key={group} class="curve-group" open={find !== "" || isOpenGroup(group, own, series)}>
              <summary>
                {group} <span class="muted">{own.length}</span>
                {group === ALARMS && <span class="muted small"> · {rung(own, series)}</span>}
              </summary>
              <div class="curves">
                {own.map((one) => (
                  <Curve
                    key={one}
                    name={one}
                    series={series[one]!}
                    other={otherSeries[one]}
                    explanation={explain(one)}
                    smoothing={smoothing}
                    isLog={isLog}
                  />
                ))}
              </div>
            </details>
          ))
        )}
        {fitting.length > 0 && (
          <details class="curve-group">
            <summary>As a table</summary>
            <div class="scroll" tabIndex={0} role="region" aria-label="Scalars as a table">
              <table>
                <thead>
                  <tr>
                    <th scope="col">Scalar</th>
                    <th scope="col" class="number">
                      Last
                    </th>
                    <th scope="col" class="number">
                      Least
                    </th>
                    <th scope="col" class="number">
                      Most
                    </th>
                    <th scope="col">What it is</th>
                  </tr>
                </thead>
                <tbody>
                  {fitting.map((one) => (
                    <tr key={one}>
                      <th scope="row">{one}</th>
                      <td class="number">{shortNumber(series[one]!.values.at(-1))}</td>
                      <td class="number">{shortNumber(least(series[one]!.values))}</td>
                      <td class="number">{shortNumber(most(series[one]!.values))}</td>
                      <td class="muted">{explain(one)?.about}</td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </div>
          </details>
        )}
      </section>

      {sheets.length > 0 && <SheetsOverTime sheets={sheets} />}

      <section class="answer" aria-labelledby="machine">
        <h2 id="machine">Machine</h2>
        {uses.length > 1 && (
          <div class="curves">
            <Curve
              name="cores"
              series={seriesOfUses(uses, ({ cores }) => cores)}
              explanation={{ group: "", about: "Cores in use, over the seconds of the run.", wish: null }}
              smoothing={0}
              isLog={false}
            />
            <Curve
              name="memory"
              series={seriesOfUses(uses, ({ memoryBytes }) => memoryBytes / 1e9)}
              explanation={{ group: "", about: "Resident memory.", unit: "GB", wish: null }}
              smoothing={0}
              isLog={false}
            />
          </div>
        )}
        {uses.length > 0 ? (
          <p>
            {uses.at(-1)!.cores.toFixed(1)} of {run.machine.cores} cores,{" "}
            {(uses.at(-1)!.memoryBytes / 1e9).toFixed(2)} GB; at most{" "}
            {(most(uses.map(({ memoryBytes }) => memoryBytes)) / 1e9).toFixed(2)} GB, on average{" "}
            {(uses.reduce((sum, { cores }) => sum + cores, 0) / uses.length).toFixed(1)} cores.
          </p>
        ) : (
          <p class="muted">
            Nothing is measured of a run that is not going on. The machine has {run.machine.cores} cores and{" "}
            {(run.machine.memoryBytes / 1e9).toFixed(0)} GB, of which{" "}
            {(run.machine.freeMemoryBytes / 1e9).toFixed(0)} GB are free.
          </p>
        )}
      </section>

      <section class="answer" aria-labelledby="recipe">
        <h2 id="recipe">Recipe</h2>
        {against !== "" && fields !== undefined && (
          <>
            <h3>Differs from {others.find((one) => one.name === against)?.title ?? against} in</h3>
            {fields === null ? (
              <p class="muted">One of the recipes is not known.</p>
            ) : fields.length === 0 ? (
              <p class="muted">nothing</p>
            ) : (
              <div class="scroll" tabIndex={0} role="region" aria-label="Differences of the recipes">
                <table>
                  <thead>
                    <tr>
                      <th scope="col">Field</th>
                      <th scope="col">This run</th>
                      <th scope="col">The other</th>
                    </tr>
                  </thead>
                  <tbody>
                    {fields.map(({ field, first, second }) => (
                      <tr key={field}>
                        <th scope="row">{field}</th>
                        <td>{first ?? "–"}</td>
                        <td>{second ?? "–"}</td>
                      </tr>
                    ))}
                  </tbody>
                </table>
              </div>
            )}
          </>
        )}
        {run.recipe ? (
          <>
            <pre class="recipe" tabIndex={0} role="region" aria-label="Recipe">
              {run.recipe.text}
            </pre>
            {run.recipe.from === "recipes" && (
              <p class="muted small">As the package has it today; the run did not keep its own.</p>
            )}
          </>
        ) : (
          <p class="muted">The recipe is not known.</p>
        )}
      </section>
    </div>
  );
}
