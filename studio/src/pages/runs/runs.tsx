/** Runs. @module */
import type { PageProps } from "../table.ts";

export function Runs(_props: PageProps) {
  return <h1>Runs</h1>;
}
