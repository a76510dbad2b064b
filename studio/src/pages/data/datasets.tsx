/** The datasets that there are. @module */
import { useEffect, useState } from "preact/hooks";
import { call } from "../../api.ts";
import { linkTo } from "../../location.ts";
import { Failure } from "../../parts/failure.tsx";
import { Icon } from "../../parts/icons.tsx";
import type { Dataset } from "./dataset-api.ts";

export function Datasets() {
  const [datasets, setDatasets] = useState<readonly Dataset[]>();
  const [error, setError] = useState<unknown>();
  useEffect(() => {
    call<{ datasets: Dataset[] }>("GET", "/datasets").then(
      (found) => setDatasets(found.datasets),
      (failure: unknown) => setError(failure),
    );
  }, []);
  if (error !== undefined) return <Failure error={error} />;
  if (!datasets) return <p class="muted">Looking for datasets …</p>;
  if (datasets.length === 0)
    return (
      <div class="welcome">
        <p class="big">No datasets yet.</p>
        <p class="muted">
          <code>vans data curate</code> makes one of long videos, <code>vans world make --out out/world</code>{" "}
          one of the playroom. The server looks into the folder <code>out</code>, or the one that{" "}
          <code>--datasets</code> names.
        </p>
      </div>
    );
  return (
    <ul class="groups">
      {datasets.map(({ name, samples, rejected, edited }) => (
        <li key={name}>
          <a class="card wide dataset" {...linkTo(`/data/${encodeURIComponent(name)}`)}>
            <span>
              <span class="line strong">{name}</span>
              <span class="line muted">
                {samples} samples · {rejected} rejected · {edited} mended
              </span>
            </span>
            <Icon name="on" />
          </a>
        </li>
      ))}
    </ul>
  );
}
