/**
 * The pages; each is loaded when it is opened.
 * @module
 */
import type { ComponentType } from "preact";

/** What a page gets: what stands behind its name in the address. */
export interface PageProps {
  readonly rest: string;
}

export interface Page {
  readonly path: string;
  readonly title: string;
  load(): Promise<ComponentType<PageProps>>;
}

export const PAGES: readonly Page[] = [
  { path: "/ask", title: "Ask", load: async () => (await import("./ask/ask.tsx")).Ask },
  { path: "/compare", title: "Compare", load: async () => (await import("./compare/compare.tsx")).Compare },
  { path: "/runs", title: "Runs", load: async () => (await import("./runs/runs.tsx")).Runs },
  { path: "/rate", title: "Rate", load: async () => (await import("./rate/rate.tsx")).Rate },
  { path: "/data", title: "Data", load: async () => (await import("./data/data.tsx")).Data },
];
