/** The samples of a dataset, filtered, a page at a time; all by keys if one likes. @module */
import { useEffect, useRef, useState } from "preact/hooks";
import { call } from "../../api.ts";
import { useQuery } from "../../location.ts";
import { Failure } from "../../parts/failure.tsx";
import type { Sample, SamplePage } from "./dataset-api.ts";
import { SampleCard } from "./sample-card.tsx";

const FACETS = ["kind", "split", "source"] as const;
const STATES = { untouched: "untouched", edited: "mended", rejected: "rejected" } as const;
/** Milliseconds after the last key before the search begins. */
const TYPING_MS = 250;

export function Samples({ name }: { readonly name: string }) {
  const [query, change] = useQuery();
  const [page, setPage] = useState<SamplePage>();
  const [text, setText] = useState(query.get("text") ?? "");
  const [error, setError] = useState<unknown>();
  const [said, setSaid] = useState("");
  const list = useRef<HTMLUListElement>(null);
  const path = `/datasets/${encodeURIComponent(name)}`;
  const wanted = query.toString();

  const load = (): void => {
    call<SamplePage>("GET", `${path}/samples?${wanted}`).then(
      (found) => {
        setPage(found);
        setError(undefined);
      },
      (failure: unknown) => setError(failure),
    );
  };
  useEffect(load, [name, wanted]);
  useEffect(() => {
    if (text === (query.get("text") ?? "")) return;
    const timer = setTimeout(() => change({ text, page: "" }), TYPING_MS);
    return () => clearTimeout(timer);
  }, [text]);

  const decide = async (sample: Sample, decision: object): Promise<void> => {
    try {
      const decided = await call<Sample>(
        "PATCH",
        `${path}/samples/${encodeURIComponent(sample.row.id)}`,
        decision,
      );
      setPage((before) =>
        before
          ? {
              ...before,
              samples: before.samples.map((one) => (one.row.id === sample.row.id ? decided : one)),
            }
          : before,
      );
      setSaid(`${sample.row.id}: ${decided.override?.rejected ? "rejected" : "kept"}`);
      setError(undefined);
    } catch (failure) {
      setError(failure);
    }
  };
  const apply = async (): Promise<void> => {
    if (
      !confirm(
        "Rewrite the table? Rejected samples are left out, mended texts take the place of the old ones.",
      )
    )
      return;
    try {
      const { samples } = await call<{ samples: number }>("POST", `${path}/apply`);
      setSaid(`The table has ${samples} samples now.`);
      load();
    } catch (failure) {
      setError(failure);
    }
  };
  const move = (by: number): void => {
    const cards = [...(list.current?.querySelectorAll<HTMLElement>(".sample") ?? [])];
    const at = cards.findIndex((card) => card.contains(document.activeElement));
    cards[Math.max(0, Math.min(cards.length - 1, at < 0 ? 0 : at + by))]?.focus();
  };
  const onKey = (event: KeyboardEvent): void => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target instanceof HTMLElement && event.target.closest("input, textarea, select")) return;
    if (event.key === "j") move(1);
    else if (event.key === "k") move(-1);
    else return;
    event.preventDefault();
  };
  useEffect(() => {
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, []);

  if (!page)
    return error === undefined ? <p class="muted">Reading the table …</p> : <Failure error={error} />;
  return (
    <>
      <div class="asked">
        <h2>{name}</h2>
        <p class="muted facts" aria-live="polite">
          {page.fitting} of {page.total} samples{said !== "" && ` · ${said}`}
        </p>
      </div>
      <div class="toolbar">
        <label class="inline">
          Find
          <input
            type="search"
            value={text}
            placeholder="words of any text"
            onInput={(event) => setText(event.currentTarget.value)}
          />
        </label>
        {FACETS.map((facet) => (
          <label key={facet} class="inline">
            {facet}
            <select
              value={query.get(facet) ?? ""}
              onChange={(event) => change({ [facet]: event.currentTarget.value, page: "" })}
            >
              <option value="">all</option>
              {page.facets[facet].map(({ value, count }) => (
                <option key={value} value={value}>
                  {value} ({count})
                </option>
              ))}
            </select>
          </label>
        ))}
        <label class="inline">
          state
          <select
            value={query.get("state") ?? ""}
            onChange={(event) => change({ state: event.currentTarget.value, page: "" })}
          >
            <option value="">all</option>
            {Object.entries(STATES).map(([value, shown]) => (
              <option key={value} value={value}>
                {shown}
              </option>
            ))}
          </select>
        </label>
        <button type="button" onClick={() => void apply()}>
          Apply decisions
        </button>
      </div>
      <p class="muted small keys">
        <kbd>j</kbd>
        <kbd>k</kbd> next and previous · <kbd>x</kbd> reject or keep · <kbd>e</kbd> mend the texts ·{" "}
        <kbd>Space</kbd> play
      </p>
      {error !== undefined && <Failure error={error} />}
      {page.samples.length === 0 ? (
        <div class="welcome">
          <p class="big">No sample fits.</p>
          <p>
            <button
              type="button"
              onClick={() => {
                setText("");
                change({ text: "", kind: "", split: "", source: "", state: "", page: "" });
              }}
            >
              Show all
            </button>
          </p>
        </div>
      ) : (
        <ul class="samples" ref={list}>
          {page.samples.map((sample) => (
            <li key={sample.row.id}>
              <SampleCard
                sample={sample}
                clip={(file) => `/api/v1${path}/clip?path=${encodeURIComponent(file)}`}
                onDecide={(decision) => void decide(sample, decision)}
              />
            </li>
          ))}
        </ul>
      )}
      {page.pages > 1 && (
        <nav class="pages" aria-label="Pages">
          <button
            type="button"
            disabled={page.page === 0}
            onClick={() => change({ page: String(page.page - 1) })}
          >
            Before
          </button>
          <span>
            {page.page + 1} of {page.pages}
          </span>
          <button
            type="button"
            disabled={page.page + 1 >= page.pages}
            onClick={() => change({ page: String(page.page + 1) })}
          >
            After
          </button>
        </nav>
      )}
    </>
  );
}
