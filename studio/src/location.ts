/**
 * Addresses: every page, every answer and every choice of a filter has one.
 * @module
 */
import { useEffect, useState } from "preact/hooks";

/** Goes to an address inside the studio. */
export function go(path: string, options: { readonly replace?: boolean } = {}): void {
  if (options.replace) history.replaceState(null, "", path);
  else history.pushState(null, "", path);
  dispatchEvent(new PopStateEvent("popstate"));
}

/** The address, kept up to date. */
export function usePath(): string {
  return useLocation(() => location.pathname);
}

/** What stands behind the question mark of the address, and how to change it; an empty value takes a name away. */
export function useQuery(): readonly [URLSearchParams, (changes: Readonly<Record<string, string>>) => void] {
  const search = useLocation(() => location.search);
  const change = (changes: Readonly<Record<string, string>>): void => {
    const next = new URLSearchParams(location.search);
    for (const [name, value] of Object.entries(changes)) {
      if (value === "") next.delete(name);
      else next.set(name, value);
    }
    const text = next.toString();
    go(`${location.pathname}${text === "" ? "" : `?${text}`}`, { replace: true });
  };
  return [new URLSearchParams(search), change];
}

/** For links that stay in the page: plain clicks are the studio's, new tabs and windows the browser's. */
export function linkTo(path: string): { readonly href: string; onClick(event: MouseEvent): void } {
  return {
    href: path,
    onClick(event) {
      if (event.metaKey || event.ctrlKey || event.shiftKey || event.button !== 0) return;
      event.preventDefault();
      go(path);
    },
  };
}

function useLocation(read: () => string): string {
  const [value, setValue] = useState(read);
  useEffect(() => {
    const update = (): void => setValue(read());
    addEventListener("popstate", update);
    return () => removeEventListener("popstate", update);
  }, []);
  return value;
}
