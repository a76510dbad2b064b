/** Compare. @module */
import type { PageProps } from "./table.ts";

export function Compare(_props: PageProps) {
  return <h1>Compare</h1>;
}
