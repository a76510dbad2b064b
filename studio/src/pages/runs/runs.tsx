/** Runs: trainings, looked at while they go on. @module */
import { linkTo } from "../../location.ts";
import type { PageProps } from "../table.ts";
import { RunList } from "./run-list.tsx";
import { RunView } from "./run-view.tsx";

export function Runs({ rest }: PageProps) {
  const name = decodeURIComponent(rest);
  return (
    <>
      <header class="page-head">
        <h1>Runs</h1>
        {name !== "" && (
          <nav class="tabs" aria-label="Of runs">
            <a {...linkTo("/runs")}>All runs</a>
          </nav>
        )}
      </header>
      {name === "" ? <RunList /> : <RunView key={name} name={name} />}
    </>
  );
}
