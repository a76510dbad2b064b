/** From a clip to a rated answer, in one go: the way that people take through the studio. */
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { parse } from "csv-parse/sync";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { buildStudio, CHROMIUM, openBrowser, StudioServer, WHY_SKIPPED } from "./studio-server.ts";

const CLIP = fileURLToPath(new URL("../../examples/clips/gift.mp4", import.meta.url));
const STEP_MS = 300_000;
const KEYS: Readonly<Record<string, readonly string[]>> = { Ada: ["4", "3", "5"], Grace: ["4", "2", "4"] };

if (!CHROMIUM) console.warn(`rate: skipped, ${WHY_SKIPPED}`);

describe.skipIf(!CHROMIUM)("rating in the studio", () => {
  let server: StudioServer;
  let browser: Browser;
  let page: Page;
  const asked: string[] = [];
  const errors: string[] = [];

  beforeAll(async () => {
    vi.setConfig({ hookTimeout: 600_000 });
    buildStudio();
    [server, browser] = await Promise.all([StudioServer.start(), openBrowser()]);
    const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
    page = await context.newPage();
    page.setDefaultTimeout(STEP_MS);
    page.on("request", (request) => asked.push(request.url()));
    page.on("pageerror", (error) => errors.push(error.message));
  });
  afterAll(async () => {
    await browser?.close();
    await server?.close();
  });

  const ask = async (question: string): Promise<void> => {
    await page.fill("textarea", question);
    await page.click("button[type=submit]");
    await page.waitForFunction((text) => document.querySelector(".asked h2")?.textContent === text, question);
    const id = new URL(page.url()).pathname.split("/").at(-1);
    await page.waitForSelector(`article[data-id="${id}"][data-state=done]`);
  };
  /** Marks all videos as a rater with keys alone. */
  const rate = async (rater: string): Promise<void> => {
    for (let index = 0; index < 2; index++) {
      await page.waitForFunction(
        (text) => document.querySelector(".rating .facts")?.textContent?.startsWith(text),
        `video ${index + 1} of 2`,
      );
      expect(await page.textContent("main")).not.toContain("cascade");
      await page.keyboard.press(" ");
      for (const key of KEYS[rater]!) await page.keyboard.press(key);
      await page.keyboard.press("Enter");
    }
    await page.waitForSelector("text=That was all of them");
  };

  test("upload, answer, playing video, second question, compare, rate, export", async () => {
    await page.goto(`${server.url}/ask`);
    await page.setInputFiles("input[type=file]", CLIP);
    await page.waitForSelector("textarea");
    await ask("what should i do next?");
    const time = (): Promise<number> =>
      page
        .locator("video[aria-label=Answer]")
        .evaluate((element) => (element as HTMLVideoElement).currentTime);
    const begun = await time();
    await expect.poll(time).not.toBe(begun);
    await ask("what happens next?");

    await page.click(".actions a:has-text('Compare')");
    await page.waitForSelector(".pick:has-text('playroom-sft · cascade')");
    for (const pick of await page.locator(".pick").all()) {
      const name = (await pick.locator("b").textContent()) ?? "";
      await pick.locator("input").setChecked(["playroom-sft", "playroom-sft · cascade"].includes(name));
    }
    await page.click("button[type=submit]");
    await page.waitForFunction(() => document.querySelectorAll("tbody tr").length === 2);

    await page.click("text=Rate blind");
    // The page before has a choice as well.
    await page.waitForURL(/\/rate\?group=/);
    await page.waitForFunction(
      () =>
        document.querySelector("h1")?.textContent === "Rate" &&
        document.querySelectorAll("option").length > 1,
    );
    await page.fill("label:has-text('Name') input", "suite or cascade");
    await page.click("text=Begin");
    await page.fill("label:has-text('Your name') input", "Ada");
    await page.keyboard.press("Enter");

    // Enter before all is marked says what is missing, and a reload loses nothing.
    await page.waitForSelector(".marks");
    await page.keyboard.press("4");
    await page.keyboard.press("Enter");
    expect(await page.textContent("[role=alert]")).toContain("Visual consistency");
    await page.reload();
    await page.waitForSelector("input:checked");
    expect(await page.inputValue("input:checked")).toBe("4");

    await rate("Ada");
    const study = new URL(page.url()).pathname;
    await page.goto(`${server.url}${study}?rater=Grace`);
    await rate("Grace");

    await page.click("text=See the results");
    await page.waitForSelector("text=The results tell who made which answers");
    expect(await page.locator("table").count()).toBe(0);
    await page.click("text=Show the results");
    await page.waitForSelector("table");
    expect(await page.locator("table").count()).toBe(3);
    expect(await page.locator("tbody tr").first().textContent()).toContain("4.00");

    const save = async (name: string): Promise<string> => {
      const [download] = await Promise.all([
        page.waitForEvent("download"),
        page.click(`a:text-is("${name}")`),
      ]);
      return readFile(await download.path(), "utf8");
    };
    const rows: Record<string, string>[] = parse(await save("CSV"), { columns: true });
    const means = rows.filter(({ record, criterion }) => record === "mean" && criterion === "overall");
    expect(means.map(({ system, value }) => [system, value])).toEqual([
      ["playroom-sft", "4.5"],
      ["playroom-sft · cascade", "4.5"],
    ]);
    expect(rows.filter(({ record }) => record === "rating")).toHaveLength(12);
    const json = JSON.parse(await save("JSON")) as { ratings: unknown[]; summary: { raters: number } };
    expect(json.ratings).toHaveLength(4);
    expect(json.summary.raters).toBe(2);
  });

  test("axe finds nothing serious on /rate at 360 px and wide, dark and light", async () => {
    const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
    const { studies } = (await (await fetch(`${server.url}/api/v1/studies`)).json()) as {
      studies: { id: string }[];
    };
    const study = `/rate/${studies[0]!.id}`;
    const paths = [
      "/rate",
      study,
      `${study}?rater=Alan`,
      `${study}?rater=Ada`,
      `${study}/results`,
      `${study}/results?show=1`,
      "/rate/none?rater=Ada",
    ];
    const found: string[] = [];
    for (const width of [360, 1280])
      for (const colorScheme of ["light", "dark"] as const) {
        await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
        await page.setViewportSize({ width, height: 800 });
        for (const path of paths) {
          await page.goto(server.url + path, { waitUntil: "networkidle" });
          await page.evaluate(axe);
          const serious = await page.evaluate(async () => {
            const { axe: judge } = globalThis as unknown as {
              axe: {
                run(): Promise<{ violations: { id: string; impact: string; nodes: { html: string }[] }[] }>;
              };
            };
            return (await judge.run()).violations
              .filter(({ impact }) => impact === "serious" || impact === "critical")
              .map(({ id, nodes }) => `${id}: ${nodes[0]?.html.slice(0, 120)}`);
          });
          found.push(...serious.map((text) => `${path} ${width} ${colorScheme} ${text}`));
          const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
          if (over > 0) found.push(`${path} is ${over} px wider than ${width} px`);
        }
      }
    expect(found).toEqual([]);
    expect(errors).toEqual([]);
    expect(asked.filter((url) => !url.startsWith(server.url) && !/^(data|blob):/.test(url))).toEqual([]);
  });
});
