/** The pages /ask and /compare and what surrounds all pages, driven in Chromium before a real server. @module */
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { buildStudio, CHROMIUM, openBrowser, StudioServer, WHY_SKIPPED } from "./studio-server.ts";

const CLIP = fileURLToPath(new URL("../../examples/clips/gift.mp4", import.meta.url));
const PAGES = ["/ask", "/compare", "/compare/reports", "/runs", "/rate", "/data"] as const;
const MAX_FIRST_LOAD_BYTES = 200_000;
/** For answers on a machine that does other things too. */
const ANSWER_MS = 300_000;
vi.setConfig({ testTimeout: 1_200_000, hookTimeout: 600_000 });

if (!CHROMIUM) console.warn(`studio: skipped, ${WHY_SKIPPED}`);

describe.skipIf(!CHROMIUM)("the studio", () => {
  let server: StudioServer;
  let browser: Browser;
  let context: BrowserContext;
  let page: Page;
  let asked: string[];
  let errors: string[];

  beforeAll(async () => {
    buildStudio();
    [server, browser] = await Promise.all([StudioServer.start(), openBrowser()]);
  });
  afterAll(async () => {
    await browser?.close();
    await server?.close();
  });
  beforeEach(async () => {
    context = await browser.newContext({ viewport: { width: 1280, height: 900 }, permissions: ["camera"] });
    page = await context.newPage();
    page.setDefaultTimeout(ANSWER_MS);
    asked = [];
    errors = [];
    page.on("request", (request) => asked.push(request.url()));
    page.on("pageerror", (error) => errors.push(error.message));
  });
  afterEach(async () => {
    await context.close();
    expect(errors).toEqual([]);
    expect(asked.filter((url) => !url.startsWith(server.url) && !/^(data|blob):/.test(url))).toEqual([]);
  });

  const upload = async (): Promise<void> => {
    await page.goto(`${server.url}/ask`);
    await page.setInputFiles("input[type=file]", CLIP);
    await page.waitForSelector("textarea");
  };
  const ask = async (question: string, settings: Readonly<Record<string, string>> = {}): Promise<void> => {
    await page.fill("textarea", question);
    if (Object.keys(settings).length > 0) {
      if (!(await page.isVisible(".fields"))) await page.click("summary");
      for (const [label, value] of Object.entries(settings))
        await page.fill(`.fields label:has-text("${label}") input`, value);
    }
    await onNewPage(() => page.click("button[type=submit]"));
  };
  /** Does what leads to the page of another answer: that of an earlier one has such an address as well. */
  const onNewPage = async (act: () => Promise<void>): Promise<void> => {
    const before = page.url();
    await act();
    await page.waitForURL((url) => url.href !== before && /\/ask\/./.test(url.pathname));
  };
  /** The answer that the address names, and not one that was there before, has come to its end. */
  const answered = (state = "done"): Promise<unknown> => {
    const id = new URL(page.url()).pathname.split("/").at(-1);
    return page.waitForSelector(`article[data-id="${id}"][data-state=${state}]`);
  };

  test.each(PAGES)("%s: small, complete, and all of it from here", async (path) => {
    let bytes = 0;
    const sizes: Promise<void>[] = [];
    page.on("response", (response) => {
      if (!["document", "script", "stylesheet", "font"].includes(response.request().resourceType())) return;
      sizes.push(
        response.body().then((body) => {
          bytes += gzipSync(body).length;
        }),
      );
    });
    await page.goto(`${server.url}${path}`, { waitUntil: "networkidle" });
    await page.waitForSelector("main h1");
    await Promise.all(sizes);
    expect(bytes).toBeGreaterThan(5000);
    expect(bytes).toBeLessThan(MAX_FIRST_LOAD_BYTES);
  });

  test("upload, answer, playing video, second question, and then, compare", async () => {
    // The picture that sharpens is gone when the answer is there, so it is watched from within the page.
    await page.addInitScript(() => {
      const look = (): void => {
        if (document.querySelector("canvas[aria-label='Answer, sharpening']"))
          Object.assign(window, { sawSharpening: true });
      };
      new MutationObserver(look).observe(document, { childList: true, subtree: true, attributes: true });
    });
    await upload();
    await ask("what should i do next?", { Steps: "40" });
    await page.waitForFunction(() => "sawSharpening" in window);
    await page.waitForSelector(".caption");
    expect(await page.textContent(".reasoning")).toContain("present");
    await answered();
    // Both clips play on one timeline.
    const video = page.locator("video[aria-label=Answer]");
    await video.waitFor();
    const at = (): Promise<number> => video.evaluate((element) => (element as HTMLVideoElement).currentTime);
    const begun = await at();
    await expect.poll(at).not.toBe(begun);
    await page.click("button[aria-label=Pause]");
    await page.locator("input[aria-label='Time in all clips']").fill("1");
    const times = await page
      .locator(".synced video")
      .evaluateAll((all) => all.map((element) => (element as HTMLVideoElement).currentTime));
    expect(times).toHaveLength(2);
    for (const time of times) expect(Math.abs(time - 1.0625)).toBeLessThan(0.07);

    await ask("what happens next?", { Seed: "7" });
    await answered();
    expect(await page.textContent(".asked .facts")).toContain("seed 7");
    await expect.poll(() => page.locator(".future").count()).toBe(2);

    await onNewPage(() => page.click(".actions button:has-text('And then?')"));
    await page.waitForSelector(".strip.numbered li:nth-child(2)");
    await answered();
    expect(await page.textContent(".asked h2")).toBe("and then?");

    await page.click(".actions a:has-text('Compare')");
    await page.waitForSelector(".pick:has-text('playroom-sft · cascade')");
    // The suite and its cascade are enough.
    for (const pick of await page.locator(".pick").all()) {
      const name = (await pick.locator("b").textContent()) ?? "";
      await pick.locator("input").setChecked(["playroom-sft", "playroom-sft · cascade"].includes(name));
    }
    await page.click("button[type=submit]");
    await page.waitForURL(/\/compare\/compare-/);
    await page.waitForFunction(() => document.querySelectorAll("tbody tr").length === 2);
    await expect.poll(() => page.locator("tbody").textContent(), { timeout: ANSWER_MS }).toMatch(/\d\.\d dB/);
    await page.click("text=Differences");
    await page.waitForSelector("canvas.difference");
    const url = page.url();
    await page.reload();
    await page.waitForFunction(() => document.querySelectorAll("tbody tr").length === 2);
    expect(page.url()).toBe(url);
  });

  test("cancel midway", async () => {
    await page.goto(`${server.url}/ask`);
    await page.click(".examples button");
    await ask("what should i do next?", { Futures: "8", Steps: "40" });
    await page.waitForSelector(".progress span:has-text('Drawing')");
    await page.click("text=Cancel");
    await answered("cancelled");
    expect(await page.textContent(".note")).toContain("Cancelled");
  });

  test("reload midway and find it again", async () => {
    await page.goto(`${server.url}/ask`);
    await page.click(".examples button");
    await ask("what should i do next?", { Futures: "4", Steps: "30" });
    await page.waitForSelector(".progress span:has-text('Drawing')");
    await page.reload();
    await page.waitForSelector(".reasoning");
    await expect.poll(async () => (await page.textContent(".reasoning"))?.length).toBeGreaterThan(20);
    await answered();
    expect(await page.locator(".synced video").count()).toBe(5);
  });

  test("the server is killed midway and started again: the page goes on by itself", async () => {
    await page.goto(`${server.url}/ask`);
    await page.click(".examples button");
    await ask("what should i do next?", { Futures: "3", Steps: "30" });
    await page.waitForSelector(".progress span:has-text('Drawing')");
    await server.kill();
    await page.waitForSelector(".progress span:has-text('trying again')");
    await server.run();
    await answered();
    expect(await page.locator(".synced video").count()).toBe(4);
  });

  test("the camera, and an error that helps", async () => {
    await page.goto(`${server.url}/ask`);
    await page.click("text=Record");
    await page.waitForSelector("button:has-text('Record up to'):not([disabled])");
    await page.click("button:has-text('Record up to')");
    const camera = page.locator("video[aria-label=Camera]");
    const seen = (): Promise<number> =>
      camera.evaluate((element) => (element as HTMLVideoElement).currentTime);
    const begun = await seen();
    await expect.poll(seen).toBeGreaterThan(begun + 1);
    await page.click("button:has-text('Stop')");
    await page.waitForSelector("textarea");
    await page.click("text=Another clip");
    await page.setInputFiles("input[type=file]", {
      name: "notes.mp4",
      mimeType: "video/mp4",
      buffer: Buffer.from("no clip"),
    });
    expect(await (await page.waitForSelector(".failure")).textContent()).toContain("What helps");
  });

  test("pages that find no server say so, and go on when it is back", async () => {
    await page.goto(`${server.url}/ask`);
    await page.waitForSelector(".examples button");
    await server.kill();
    await page.click("nav a:has-text('Rate')");
    await page.waitForSelector("text=The server does not answer");
    await server.run();
    await page.waitForSelector("section[aria-label=Studies] .welcome, section[aria-label=Studies] .study");
    await expect.poll(() => page.locator("text=The server does not answer").count()).toBe(0);
  });

  test("a server that asks for a token shows where to give it, and then everything", async () => {
    const token = "a-token-for-this-test-only";
    const guarded = await StudioServer.start({ VANS_SERVE_TOKENS: token });
    try {
      await page.goto(`${guarded.url}/runs`);
      await page.fill("input[type=password]", "not-the-token-of-this-server");
      await page.keyboard.press("Enter");
      expect(await (await page.waitForSelector(".failure")).textContent()).toContain("token");
      await page.fill("input[type=password]", token);
      await page.keyboard.press("Enter");
      await page.waitForSelector("h1:text-is('Runs')");
      await page.goto(`${guarded.url}/ask`);
      await page.click(".examples button");
      // Pictures and streams come with the cookie alone.
      await expect
        .poll(() =>
          page.locator(".chosen video").evaluate((element) => (element as HTMLVideoElement).readyState),
        )
        .toBeGreaterThan(0);
      asked = asked.filter((url) => !url.startsWith(guarded.url));
    } finally {
      await guarded.close();
    }
  });

  test("axe: nothing serious or critical on any page, dark and light; nothing sticks out at 360 px", async () => {
    const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
    const { answers } = (await (await fetch(`${server.url}/api/v1/answers?limit=50`)).json()) as {
      answers: { id: string; state: string; group: string | null }[];
    };
    const done = answers.find(({ state }) => state === "done");
    const group = answers.find((answer) => answer.group !== null)?.group;
    const paths = [
      ...PAGES,
      ...(done ? [`/ask/${done.id}`] : []),
      ...(group ? [`/compare/${group}`] : []),
      "/ask/none",
      "/compare/none",
    ];
    const found: string[] = [];
    for (const scheme of ["light", "dark"] as const) {
      await page.emulateMedia({ colorScheme: scheme, reducedMotion: "reduce" });
      for (const path of paths) {
        await page.setViewportSize({ width: 1280, height: 900 });
        await page.goto(`${server.url}${path}`, { waitUntil: "networkidle" });
        await page.evaluate(axe);
        const serious = await page.evaluate(async () => {
          const { axe: judge } = globalThis as unknown as {
            axe: {
              run(): Promise<{ violations: { id: string; impact: string; nodes: { html: string }[] }[] }>;
            };
          };
          const { violations } = await judge.run();
          return violations
            .filter(({ impact }) => impact === "serious" || impact === "critical")
            .map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 120)).join(" | ")}`);
        });
        found.push(...serious.map((text) => `${path} ${scheme} ${text}`));
        await page.setViewportSize({ width: 360, height: 780 });
        const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        if (over > 0) found.push(`${path} is ${over} px wider than 360 px`);
      }
    }
    expect(found).toEqual([]);
  });
});
