/** Compare: one question through several systems, and the galleries of evaluation reports. @module */
import { linkTo } from "../../location.ts";
import type { PageProps } from "../table.ts";
import { AskSeveral } from "./ask-several.tsx";
import { Comparison } from "./comparison.tsx";
import { Gallery } from "./gallery.tsx";
import { Reports } from "./reports.tsx";

export function Compare({ rest }: PageProps) {
  const [kind = "", ...names] = rest.split("/");
  const name = names.join("/");
  const isReports = kind === "reports";
  return (
    <>
      <header class="page-head">
        <h1>Compare</h1>
        <nav class="tabs" aria-label="What to compare">
          <a aria-current={isReports ? undefined : "page"} {...linkTo("/compare")}>
            One question
          </a>
          <a aria-current={isReports ? "page" : undefined} {...linkTo("/compare/reports")}>
            Evaluation reports
          </a>
        </nav>
      </header>
      {isReports ? (
        name === "" ? (
          <Reports />
        ) : (
          <Gallery key={name} name={name} />
        )
      ) : kind === "" ? (
        <AskSeveral />
      ) : (
        <Comparison key={kind} group={kind} />
      )}
    </>
  );
}
