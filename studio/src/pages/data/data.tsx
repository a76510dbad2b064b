/** Data. @module */
import type { PageProps } from "../table.ts";

export function Data(_props: PageProps) {
  return <h1>Data</h1>;
}
