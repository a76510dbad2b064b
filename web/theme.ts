/**
 * Light, dark, or as the system has it.
 * @module
 */

const THEMES = ["system", "light", "dark"] as const;

/** Lets a button go through the themes. */
export function startTheme(button: HTMLElement): void {
  let at = 0;
  button.addEventListener("click", () => {
    at = (at + 1) % THEMES.length;
    const theme = THEMES[at]!;
    button.textContent = `Theme: ${theme}`;
    if (theme === "system") delete document.documentElement.dataset["theme"];
    else document.documentElement.dataset["theme"] = theme;
  });
}
