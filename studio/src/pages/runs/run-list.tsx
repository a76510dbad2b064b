/** The runs that there are, and how one is started. @module */
import { useEffect, useState } from "preact/hooks";
import { call } from "../../api.ts";
import { go, linkTo } from "../../location.ts";
import { Failure } from "../../parts/failure.tsx";
import { type Run, shortNumber } from "./run-api.ts";

/** Milliseconds between looks at the list. */
const LOOK_MS = 5000;

export function RunList() {
  const [runs, setRuns] = useState<readonly Run[]>();
  const [recipes, setRecipes] = useState<readonly string[]>([]);
  const [recipe, setRecipe] = useState("");
  const [name, setName] = useState("");
  const [until, setUntil] = useState("");
  const [text, setText] = useState("");
  const [error, setError] = useState<unknown>();
  useEffect(() => {
    let isLooking = false;
    const look = (): void => {
      // A look waits for a server that is gone; one is enough.
      if (isLooking) return;
      isLooking = true;
      call<{ runs: Run[]; recipes: string[] }>("GET", "/runs").then(
        (found) => {
          setRuns(found.runs);
          setRecipes(found.recipes);
        },
        (failure: unknown) => setError(failure),
      ).finally(() => {
        isLooking = false;
      });
    };
    look();
    const timer = setInterval(look, LOOK_MS);
    return () => clearInterval(timer);
  }, []);
  const start = async (event: Event): Promise<void> => {
    event.preventDefault();
    setError(undefined);
    try {
      const run = await call<Run>("POST", "/runs", {
        recipe,
        ...(name.trim() !== "" && { name: name.trim() }),
        ...(Number(until) > 0 && { untilStep: Number(until) }),
      });
      go(`/runs/${encodeURIComponent(run.name)}`);
    } catch (failure) {
      setError(failure);
    }
  };
  const fitting = (runs ?? []).filter((run) =>
    `${run.title} ${run.group} ${run.state} ${run.task}`.toLowerCase().includes(text.toLowerCase()),
  );
  return (
    <div class="ask">
      <section class="side" aria-labelledby="new-run">
        <h2 id="new-run">New training</h2>
        <form class="composer" onSubmit={(event) => void start(event)}>
          <label>
            Recipe
            <select required value={recipe} onChange={(event) => setRecipe(event.currentTarget.value)}>
              <option value="">choose one</option>
              {recipes.map((one) => (
                <option key={one}>{one}</option>
              ))}
            </select>
          </label>
          <label>
            Folder
            <input
              value={name}
              placeholder={recipe || "as the recipe"}
              onInput={(event) => setName(event.currentTarget.value)}
            />
          </label>
          <label>
            Stop after step
            <input
              type="number"
              min={1}
              value={until}
              placeholder="the recipe's last"
              onInput={(event) => setUntil(event.currentTarget.value)}
            />
          </label>
          <button type="submit" class="primary wide" disabled={recipe === ""}>
            Start
          </button>
        </form>
        {error !== undefined && <Failure error={error} />}
      </section>
      <section class="stage" aria-label="Runs">
        {runs === undefined ? (
          <p class="muted">Looking for runs …</p>
        ) : runs.length === 0 ? (
          <div class="welcome">
            <p class="big">No trainings yet.</p>
            <p class="muted">
              Start one here or with <code>vans train RECIPE</code>; the server reads the folder{" "}
              <code>runs</code>, or the one that <code>--runs</code> names.
            </p>
          </div>
        ) : (
          <>
            <label>
              Find
              <input
                type="search"
                value={text}
                placeholder="name, task or state"
                onInput={(event) => setText(event.currentTarget.value)}
              />
            </label>
            <ul class="groups">
              {fitting.map((run) => (
                <li key={run.name}>
                  <a class="card wide run" {...linkTo(`/runs/${encodeURIComponent(run.name)}`)}>
                    <span class={`state ${run.state}`}>{run.state}</span>
                    <span>
                      <span class="line strong">
                        {run.group && <span class="muted">{run.group} / </span>}
                        {run.title}
                      </span>
                      <span class="line muted">
                        step {run.lastStep}
                        {run.steps !== null && ` of ${run.steps}`} ·{" "}
                        {new Date(run.updatedAt).toLocaleString()}
                      </span>
                    </span>
                    {run.key && run.key.values.length > 1 && (
                      <span class="key">
                        <Spark values={run.key.values} />
                        <span class="muted small">
                          {run.key.name} {shortNumber(run.key.values.at(-1))}
                        </span>
                      </span>
                    )}
                  </a>
                </li>
              ))}
            </ul>
            {fitting.length === 0 && <p class="muted">No run fits “{text}”.</p>}
          </>
        )}
      </section>
    </div>
  );
}

function Spark({ values }: { readonly values: readonly number[] }) {
  const least = Math.min(...values);
  const span = Math.max(...values) - least || 1;
  const points = values.map(
    (value, i) =>
      `${((i / (values.length - 1)) * 100).toFixed(1)},${(28 - ((value - least) / span) * 26).toFixed(1)}`,
  );
  return (
    <svg class="spark" viewBox="0 0 100 30" preserveAspectRatio="none" aria-hidden="true" focusable="false">
      <polyline points={points.join(" ")} vector-effect="non-scaling-stroke" />
    </svg>
  );
}
