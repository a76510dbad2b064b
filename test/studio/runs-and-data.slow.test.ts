/** Trainings watched while they go on, and a dataset sorted by hand, in a real browser. */
import { appendFile, readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { readSamples } from "../../src/data/index.ts";
import { logLine, REPORT_ROWS, writeDataset, writeReport, writeRuns } from "../serve/filled-folder.ts";
import { buildStudio, CHROMIUM, openBrowser, StudioServer, WHY_SKIPPED } from "./studio-server.ts";

const STEP_MS = 300_000;

if (!CHROMIUM) console.warn(`runs and data: skipped, ${WHY_SKIPPED}`);

describe.skipIf(!CHROMIUM)("runs and datasets in the studio", () => {
  let server: StudioServer;
  let browser: Browser;
  let page: Page;
  const asked: string[] = [];
  const errors: string[] = [];

  beforeAll(async () => {
    vi.setConfig({ hookTimeout: 600_000 });
    buildStudio();
    [server, browser] = await Promise.all([StudioServer.start(), openBrowser()]);
    await Promise.all([writeRuns, writeDataset, writeReport].map((write) => write(server.folder)));
    const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
    page = await context.newPage();
    page.setDefaultTimeout(STEP_MS);
    page.on("request", (request) => asked.push(request.url()));
    page.on("pageerror", (error) => errors.push(error.message));
    page.on("dialog", (dialog) => void dialog.accept());
  });
  afterAll(async () => {
    await browser?.close();
    await server?.close();
  });

  test("curves grow while the page is open, with explanations, sheets, recipe and another run beside it", async () => {
    await page.goto(`${server.url}/runs`);
    await page.click("a.run:has-text('first')");
    const reward = page.locator("figure.curve", { has: page.locator("b", { hasText: /^reward$/ }) });
    await expect.poll(() => reward.locator("figcaption span").textContent()).toContain("2.38");
    expect((await reward.locator("p").textContent())?.length).toBeGreaterThan(10);
    await appendFile(join(server.folder, "runs/first/log.jsonl"), logLine(21, 3.25));
    await expect.poll(() => reward.locator("figcaption span").textContent()).toContain("3.25");
    expect(await reward.locator(".plot").getAttribute("aria-label")).toContain("over 21 steps");

    await page.locator("#sheets ~ .toolbar input[type=range]").fill("0");
    await expect.poll(() => page.getAttribute("img.sheet", "alt")).toContain("step 10");
    await expect
      .poll(() => page.locator("img.sheet").evaluate((image) => (image as HTMLImageElement).naturalWidth))
      .toBeGreaterThan(0);
    expect(await page.textContent("pre.recipe")).toContain("joint-grpo-1");

    await page.selectOption("label:has-text('beside') select", { label: "second" });
    await page.waitForSelector("text=Differs from");
    expect(await page.textContent("#recipe ~ .scroll")).toMatch(/seed\s*11\s*12/);
    // What is chosen stands in the address: a reload shows the same.
    await page.reload();
    await page.waitForSelector("text=Differs from");
    await page.fill("input[type=search]", "rouge");
    await expect.poll(() => page.locator("figure.curve").count()).toBe(1);
  });

  test("samples are found, mended and rejected by keys, and the table is rewritten", async () => {
    const folder = join(server.folder, "datasets/small");
    const idsOf = async (): Promise<string[]> => {
      const ids: string[] = [];
      for await (const row of readSamples(folder)) ids.push(row.id);
      return ids;
    };
    const before = await idsOf();
    await page.goto(`${server.url}/data`);
    await page.click("a.dataset");
    await page.waitForSelector(".sample");
    await expect
      .poll(() =>
        page
          .locator(".sample video")
          .first()
          .evaluate((video) => (video as HTMLVideoElement).readyState),
      )
      .toBeGreaterThan(0);
    await page.keyboard.press("j");
    await page.keyboard.press("x");
    await page.waitForSelector(".sample.rejected");
    await page.keyboard.press("j");
    await page.keyboard.press("e");
    await page.fill("textarea[name=caption]", "the gift is open and a bear looks out");
    await page.click("text=Keep these texts");
    await page.waitForSelector("text=the gift is open and a bear looks out");

    await page.reload();
    await page.waitForSelector(".sample.rejected");
    await page.fill("input[type=search]", "bear looks out");
    await expect.poll(() => page.locator(".sample").count()).toBe(1);
    await page.fill("input[type=search]", "");
    await expect.poll(() => page.locator(".sample").count()).toBe(before.length);
    await page.selectOption("label:has-text('state') select", "rejected");
    await expect.poll(() => page.locator(".sample").count()).toBe(1);

    await page.click("text=Apply decisions");
    await page.waitForSelector(`text=The table has ${before.length - 1} samples now`);
    expect(await idsOf()).toHaveLength(before.length - 1);
    const captions: string[] = [];
    for await (const row of readSamples(folder)) captions.push(row.caption);
    expect(captions).toContain("the gift is open and a bear looks out");
  });

  test("a report's gallery tells of each video its own failures, and filters by system, kind and failure", async () => {
    await page.goto(`${server.url}/compare/reports`);
    await page.click("a.card:has-text('judged')");
    const tiles = page.locator(".gallery figure");
    await expect.poll(() => tiles.count()).toBe(2 * REPORT_ROWS.length);
    const texts = await tiles.allTextContents();
    expect(texts.map((text) => text.includes("video shows another event"))).toEqual([
      false,
      true,
      true,
      true,
    ]);
    expect(texts[3]).toContain("video shows another event: nothing");
    await page.selectOption("label:has-text('Videos of') select", "video");
    await expect.poll(() => tiles.count()).toBe(REPORT_ROWS.length);
    await page.selectOption("label:has-text('Show') select", "none");
    await expect.poll(() => tiles.allTextContents()).toEqual([expect.stringContaining("gift")]);
    // The cascade's video of the same sample did fail.
    await page.selectOption("label:has-text('Videos of') select", "no-references");
    await page.waitForSelector("text=No sample fits these filters");
    await page.click("text=Show all samples");
    await page.selectOption("label:has-text('Kind') select", "predictive");
    await expect
      .poll(async () => (await tiles.allTextContents()).every((text) => text.includes("candle")))
      .toBe(true);
    // What is chosen stands in the address.
    await page.reload();
    await expect.poll(() => tiles.count()).toBe(2);
  });

  test("axe finds nothing serious at 360 px and wide, dark and light", async () => {
    const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
    const found: string[] = [];
    for (const width of [360, 1280])
      for (const colorScheme of ["light", "dark"] as const) {
        await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
        await page.setViewportSize({ width, height: 800 });
        for (const path of [
          "/runs",
          "/runs/first?with=second",
          "/runs/none",
          "/data",
          "/data/small",
          "/data/none",
          "/compare/reports/judged",
        ]) {
          await page.goto(server.url + path);
          await page.waitForSelector(".card, .answer, .sample, .gallery figure, [role=alert]");
          await page.evaluate(axe);
          const serious = await page.evaluate(async () => {
            const { axe: judge } = globalThis as unknown as {
              axe: {
                run(): Promise<{ violations: { id: string; impact: string; nodes: { html: string }[] }[] }>;
              };
            };
            return (await judge.run()).violations
              .filter(({ impact }) => impact === "serious" || impact === "critical")
              .map(({ id, nodes }) => `${id}: ${nodes[0]?.html.slice(0, 160)}`);
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
