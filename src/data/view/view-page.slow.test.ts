/** The page in a real browser: it shows, filters, mends, rejects, and works by keyboard. @module */
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Browser, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readOverrides } from "../format/overrides.ts";
import { makeWorldDataset } from "../world-dataset.ts";
import { openViewer, type Viewer } from "./viewer.ts";

const CHROMIUM = process.env["VANS_CHROMIUM"] ?? "/usr/bin/chromium";
/** Screenshots are kept here, for looking. */
const SCREENSHOTS = process.env["VANS_SCREENSHOTS"];

describe.skipIf(!existsSync(CHROMIUM))("the page of samples (needs Chromium; VANS_CHROMIUM names it)", () => {
  let folder: string;
  let viewer: Viewer;
  let browser: Browser;
  let page: Page;
  const errors: string[] = [];

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "vans-view-"));
    for await (const _ of makeWorldDataset({ seed: 100, count: 4, out: folder }));
    viewer = await openViewer(folder);
    browser = await chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox"] });
    page = await browser.newPage({ viewport: { width: 1100, height: 900 } });
    page.on("pageerror", (error) => errors.push(error.message));
    page.on("console", (message) => {
      if (message.type() === "error") errors.push(message.text());
    });
    await page.goto(viewer.url);
  }, 120_000);
  afterAll(async () => {
    await browser?.close();
    await viewer?.close();
    await rm(folder, { recursive: true, force: true });
  });

  const status = () => page.locator("#status").textContent();
  const shoot = async (name: string): Promise<void> => {
    if (SCREENSHOTS !== undefined) await page.screenshot({ path: join(SCREENSHOTS, `${name}.png`) });
  };

  it("shows samples with clips that play", async () => {
    await page.locator("article").nth(3).waitFor();
    expect(await status()).toBe("4 of 4 samples");
    const video = page.locator("article video").first();
    // Browsers that have no licence for H.264 show the page all the same.
    const canPlay = await video.evaluate(
      (node) => (node as HTMLVideoElement).canPlayType('video/mp4; codecs="avc1.42001f"') !== "",
    );
    if (canPlay)
      await expect
        .poll(() => video.evaluate((node) => (node as HTMLVideoElement).videoWidth), { timeout: 20_000 })
        .toBe(64);
    await shoot("all");
  }, 60_000);

  it("filters by kind and by text", async () => {
    await page.selectOption("select[name=kind]", "predictive");
    await expect.poll(status).toMatch(/^[123] of 4 samples$/);
    await page.selectOption("select[name=kind]", "");
    await expect.poll(status).toBe("4 of 4 samples");
    const id = await page.locator("article").nth(1).getAttribute("id");
    await page.fill("input[name=text]", id!.slice(2));
    await page.click("button[type=submit]");
    await expect.poll(status).toBe("1 of 4 samples");
    await page.fill("input[name=text]", "");
    await page.keyboard.press("Enter");
    await expect.poll(status).toBe("4 of 4 samples");
  }, 60_000);

  it("mends, rejects and picks by keyboard alone, and keeps it", async () => {
    const ids = await page.locator("article").evaluateAll((nodes) => nodes.map((node) => node.id.slice(2)));
    await page.locator("article").first().focus();
    await page.keyboard.press("x");
    await expect.poll(status).toBe(`${ids[0]} saved`);
    expect(await page.locator("article.rejected").count()).toBe(1);
    await page.keyboard.press("j");
    await page.keyboard.press("e");
    await page.locator("textarea[name=caption]").fill("somebody waters the plant");
    await shoot("edit");
    await page.keyboard.press("Control+Enter");
    await expect.poll(status).toBe(`${ids[1]} saved`);
    await page.keyboard.press("j");
    await page.keyboard.press("r");
    await expect.poll(status).toBe(`${ids[2]} saved`);
    await shoot("decided");
    const overrides = await readOverrides(folder);
    expect(overrides.get(ids[0]!)?.rejected).toBe(true);
    expect(overrides.get(ids[1]!)?.fields.caption).toBe("somebody waters the plant");
    expect(overrides.get(ids[2]!)?.fields.split).toBe("rl");
    await page.reload();
    await page.selectOption("select[name=state]", "rejected");
    await expect.poll(status).toBe("1 of 4 samples");
  }, 60_000);

  it("applies decisions to the table", async () => {
    page.once("dialog", (dialog) => dialog.accept());
    await page.click("#apply");
    await expect.poll(status, { timeout: 20_000 }).toMatch(/3 samples|of 3 samples/);
    expect(await readFile(join(folder, "README.md"), "utf8")).toContain("3 samples");
    expect(errors).toEqual([]);
  }, 60_000);
});
