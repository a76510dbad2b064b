/** Rate. @module */
import type { PageProps } from "../table.ts";

export function Rate(_props: PageProps) {
  return <h1>Rate</h1>;
}
