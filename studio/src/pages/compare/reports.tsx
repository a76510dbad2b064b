/** The evaluation reports that there are. @module */
import { useEffect, useState } from "preact/hooks";
import { call } from "../../api.ts";
import { linkTo } from "../../location.ts";
import { Failure } from "../../parts/failure.tsx";
import type { ReportEntry } from "./report-api.ts";

export function Reports() {
  const [reports, setReports] = useState<readonly ReportEntry[]>();
  const [error, setError] = useState<unknown>();
  useEffect(() => {
    call<{ reports: ReportEntry[] }>("GET", "/reports").then(
      (found) => setReports(found.reports),
      (failure: unknown) => setError(failure),
    );
  }, []);
  if (error !== undefined) return <Failure error={error} />;
  if (!reports) return <p class="muted">Looking for reports …</p>;
  if (reports.length === 0)
    return (
      <div class="welcome">
        <p class="big">No evaluation reports yet.</p>
        <p class="muted">
          <code>vans evaluate --data DIR --out out/report</code> makes one; start the server with{" "}
          <code>--reports DIR</code> to read them from elsewhere.
        </p>
      </div>
    );
  return (
    <ul class="report-list">
      {reports.map((report) => (
        <li key={report.name}>
          <a class="card wide" {...linkTo(`/compare/reports/${report.name}`)}>
            <span>
              <span class="line strong">{report.name}</span>
              <span class="line muted">
                {[
                  report.suite,
                  report.evaluated !== undefined && `${report.evaluated} samples`,
                  report.systems && report.systems.length > 1 && `${report.systems.length} systems`,
                ]
                  .filter(Boolean)
                  .join(" · ")}
              </span>
            </span>
          </a>
        </li>
      ))}
    </ul>
  );
}
