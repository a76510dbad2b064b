/**
 * What surrounds all pages: the head with the ways to them, and the place where they stand.
 * @module
 */
import type { ComponentType } from "preact";
import { useEffect, useState } from "preact/hooks";
import { call, REACH_CHANGED, TOKEN_WANTED } from "./api.ts";
import { linkTo, usePath } from "./location.ts";
import { PAGES, type PageProps } from "./pages/table.ts";
import { Failure } from "./parts/failure.tsx";
import { Icon } from "./parts/icons.tsx";
import { SignIn } from "./parts/sign-in.tsx";

type Theme = "system" | "light" | "dark";
const THEMES: readonly Theme[] = ["system", "light", "dark"];

/** When a page was loaded anew because a part of it could not be fetched. */
const RELOADED = "vans-reloaded";
/** A part that fails again so soon will not come. */
const RELOAD_MS = 10_000;

function storedTheme(): Theme {
  const stored = localStorage.getItem("vans-theme");
  return THEMES.find((theme) => theme === stored) ?? "system";
}

export function Shell() {
  const path = usePath();
  const page = PAGES.find((one) => path === one.path || path.startsWith(`${one.path}/`)) ?? PAGES[0]!;
  const [loaded, setLoaded] = useState<{ readonly path: string; readonly View: ComponentType<PageProps> }>();
  const [error, setError] = useState<unknown>();
  const [theme, setTheme] = useState<Theme>(storedTheme);

  useEffect(() => {
    document.title = `${page.title} · vans studio`;
    setError(undefined);
    let isCurrent = true;
    page.load().then(
      (View) => isCurrent && setLoaded({ path: page.path, View }),
      async (failure: unknown) => {
        if (!isCurrent) return;
        // The server is gone, or was replaced by one whose files have other names: begin anew when it answers.
        const before = Number(sessionStorage.getItem(RELOADED) ?? 0);
        if (Date.now() - before < RELOAD_MS) return setError(failure);
        await call("GET", "/session");
        sessionStorage.setItem(RELOADED, String(Date.now()));
        if (isCurrent) location.reload();
      },
    );
    return () => {
      isCurrent = false;
    };
  }, [page]);
  const [isStranger, setStranger] = useState(false);
  const [isReached, setReached] = useState(true);

  useEffect(() => {
    const change = (event: Event): void => setReached((event as CustomEvent<boolean>).detail);
    addEventListener(REACH_CHANGED, change);
    return () => removeEventListener(REACH_CHANGED, change);
  }, []);

  useEffect(() => {
    const ask = (): void => setStranger(true);
    addEventListener(TOKEN_WANTED, ask);
    // Pages whose pictures and streams are refused would not tell why.
    call<{ isKnown: boolean }>("GET", "/session").then(
      ({ isKnown }) => isKnown || ask(),
      () => undefined,
    );
    return () => removeEventListener(TOKEN_WANTED, ask);
  }, []);
  useEffect(() => {
    localStorage.setItem("vans-theme", theme);
    if (theme === "system") delete document.documentElement.dataset["theme"];
    else document.documentElement.dataset["theme"] = theme;
  }, [theme]);

  return (
    <>
      <a class="skip" href="#main">
        Skip to the page
      </a>
      <header class="top">
        <a class="brand" {...linkTo("/ask")}>
          <span aria-hidden="true" class="mark" />
          vans
        </a>
        <nav aria-label="Pages">
          {PAGES.map((one) => (
            <a key={one.path} aria-current={one === page ? "page" : undefined} {...linkTo(one.path)}>
              {one.title}
            </a>
          ))}
        </nav>
        <button
          type="button"
          class="quiet"
          onClick={() => setTheme(THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length]!)}
        >
          <Icon name={theme === "system" ? "auto" : theme === "light" ? "sun" : "moon"} />
          <span class="sr">Colours: {theme}</span>
        </button>
      </header>
      <main id="main" tabIndex={-1}>
        <div role="status">
          {!isReached && (
            <p class="note warn wide">
              <b>The server does not answer.</b> Is vans serve still running? The page goes on when it is back.
            </p>
          )}
        </div>
        {isStranger ? (
          <SignIn />
        ) : error !== undefined ? (
          <Failure error={error} />
        ) : loaded?.path === page.path ? (
          <loaded.View rest={decodeURIComponent(path.slice(page.path.length + 1))} />
        ) : (
          <p class="muted">Loading …</p>
        )}
      </main>
    </>
  );
}
