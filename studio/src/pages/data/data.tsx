/** Data: datasets looked at, mended and sorted by hand. @module */
import { linkTo } from "../../location.ts";
import type { PageProps } from "../table.ts";
import { Datasets } from "./datasets.tsx";
import { Samples } from "./samples.tsx";

export function Data({ rest }: PageProps) {
  const name = decodeURIComponent(rest);
  return (
    <>
      <header class="page-head">
        <h1>Data</h1>
        {name !== "" && (
          <nav class="tabs" aria-label="Of datasets">
            <a {...linkTo("/data")}>All datasets</a>
          </nav>
        )}
      </header>
      {name === "" ? <Datasets /> : <Samples key={name} name={name} />}
    </>
  );
}
