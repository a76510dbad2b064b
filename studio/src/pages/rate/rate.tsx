/** Rate: people mark answers without knowing who made them. @module */
import { linkTo } from "../../location.ts";
import type { PageProps } from "../table.ts";
import { Rating } from "./rating.tsx";
import { Results } from "./results.tsx";
import { Studies } from "./studies.tsx";
import { lastRater, ratingPath } from "./study-api.ts";

export function Rate({ rest }: PageProps) {
  const [id = "", view = ""] = rest.split("/");
  return (
    <>
      <header class="page-head">
        <h1>Rate</h1>
        {id !== "" && (
          <nav class="tabs" aria-label="Of this study">
            <a {...linkTo("/rate")}>All studies</a>
            <a
              aria-current={view === "results" ? undefined : "page"}
              {...linkTo(ratingPath(id, lastRater()))}
            >
              Rate
            </a>
            <a aria-current={view === "results" ? "page" : undefined} {...linkTo(`/rate/${id}/results`)}>
              Results
            </a>
          </nav>
        )}
      </header>
      {id === "" ? (
        <Studies />
      ) : view === "results" ? (
        <Results key={id} id={id} />
      ) : (
        <Rating key={id} id={id} />
      )}
    </>
  );
}
