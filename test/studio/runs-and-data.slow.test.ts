/** Trainings watched while they go on, and a dataset sorted by hand, in a real browser. */
import { appendFile, copyFile, mkdir, readFile, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { makeWorldDataset, readSamples } from "../../src/data/index.ts";
import { readRecipe } from "../../src/train/index.ts";
import { buildStudio, CHROMIUM, openBrowser, StudioServer, WHY_SKIPPED } from "./studio-server.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const STEP_MS = 60_000;

if (!CHROMIUM) console.warn(`runs and data: skipped, ${WHY_SKIPPED}`);

const line = (step: number, reward: number): string =>
  `${JSON.stringify({ step, reward, kl: 0.001 * step, loss: 1e-6, "rewards/rouge-l/mean": reward / 4 })}\n`;

describe.skipIf(!CHROMIUM)("runs and datasets in the studio", () => {
  let server: StudioServer;
  let browser: Browser;
  let page: Page;
  const asked: string[] = [];
  const errors: string[] = [];

  beforeAll(async () => {
    buildStudio();
    [server, browser] = await Promise.all([StudioServer.start(), openBrowser()]);
    const recipe = await readRecipe(join(ROOT, "recipes/playroom-joint-grpo-1.yaml"));
    for (const [name, seed] of [
      ["first", 11],
      ["second", 12],
    ] as const) {
      const run = join(server.folder, "runs", name);
      await mkdir(join(run, "sheets"), { recursive: true });
      await writeFile(join(run, "recipe.json"), JSON.stringify({ ...recipe, seed }));
      await writeFile(
        join(run, "log.jsonl"),
        Array.from({ length: 20 }, (_, i) => line(i + 1, 2 + i / 50)).join(""),
      );
      for (const step of ["010", "020"])
        await copyFile(join(ROOT, "docs/images/answer-sheet.png"), join(run, "sheets", `${step}.png`));
    }
    for await (const _ of makeWorldDataset({
      seed: 40,
      count: 4,
      out: join(server.folder, "datasets/small"),
    }));
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
    await appendFile(join(server.folder, "runs/first/log.jsonl"), line(21, 3.25));
    await expect
      .poll(() => reward.locator("figcaption span").textContent(), { timeout: STEP_MS })
      .toContain("3.25");
    expect(await reward.locator(".plot").getAttribute("aria-label")).toContain("over 21 steps");

    await page.locator("#sheets ~ .toolbar input[type=range]").fill("0");
    expect(await page.getAttribute("img.sheet", "alt")).toContain("step 10");
    expect(
      await page.locator("img.sheet").evaluate((image) => (image as HTMLImageElement).naturalWidth),
    ).toBeGreaterThan(0);
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
    await page.selectOption("label:has-text('state') select", "rejected");
    await expect.poll(() => page.locator(".sample").count()).toBe(1);

    await page.click("text=Apply decisions");
    await page.waitForSelector(`text=The table has ${before.length - 1} samples now`);
    expect(await idsOf()).toHaveLength(before.length - 1);
    const captions: string[] = [];
    for await (const row of readSamples(folder)) captions.push(row.caption);
    expect(captions).toContain("the gift is open and a bear looks out");
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
        ]) {
          await page.goto(server.url + path);
          await page.waitForSelector(".card, .answer, .sample, [role=alert]");
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
