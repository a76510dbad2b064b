/** The page that answers in the browser alone: built, served as plain files, asked once. */
import { execFileSync } from "node:child_process";
import { createReadStream } from "node:fs";
import { mkdtemp, rm, stat } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import { tmpdir } from "node:os";
import { extname, join, normalize, sep } from "node:path";
import { fileURLToPath } from "node:url";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CHROMIUM, openBrowser, WHY_SKIPPED } from "../studio/studio-server.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const MOST_SECS = 60;
const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".mjs": "text/javascript",
  ".css": "text/css",
  ".json": "application/json",
  ".wasm": "application/wasm",
  ".mp4": "video/mp4",
  ".png": "image/png",
};

if (!CHROMIUM) console.warn(`web: skipped, ${WHY_SKIPPED}`);

/** Any host of static files: no special headers, no ranges. */
function serveFolder(folder: string): Promise<{ readonly server: Server; readonly url: string }> {
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? "/", "http://host");
    const path = normalize(join(folder, pathname.endsWith("/") ? `${pathname}index.html` : pathname));
    stat(path).then(
      ({ size }) => {
        if (!path.startsWith(folder + sep)) return response.writeHead(404).end();
        const type = TYPES[extname(path)] ?? "application/octet-stream";
        response.writeHead(200, { "content-type": type, "content-length": size });
        return createReadStream(path).pipe(response);
      },
      () => response.writeHead(404).end(),
    );
  });
  return new Promise((done) =>
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      const port = typeof address === "object" && address ? address.port : 0;
      done({ server, url: `http://127.0.0.1:${port}` });
    }),
  );
}

describe.skipIf(!CHROMIUM)("the page without a server", () => {
  let folder: string;
  let browser: Browser;
  let host: Awaited<ReturnType<typeof serveFolder>>;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "vans-web-"));
    execFileSync(
      process.execPath,
      [
        join(ROOT, "node_modules/vite/bin/vite.js"),
        "build",
        "web",
        "--outDir",
        folder,
        "--logLevel",
        "error",
      ],
      { cwd: ROOT, env: { ...process.env, NODE_ENV: "production" }, stdio: ["ignore", "ignore", "inherit"] },
    );
    [host, browser] = await Promise.all([serveFolder(folder), openBrowser()]);
  }, 300_000);
  afterAll(async () => {
    await browser?.close();
    host?.server.closeAllConnections();
    host?.server.close();
    await rm(folder, { recursive: true, force: true });
  });

  test(`answers a bundled clip within ${MOST_SECS} s, and asks nobody else`, async () => {
    const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
    const asked: string[] = [];
    const errors: string[] = [];
    page.on("request", (request) => asked.push(request.url()));
    page.on("pageerror", (error) => errors.push(error.message));
    const begun = performance.now();
    await page.goto(host.url);
    await page.click("#go");
    await page.waitForSelector("#actions:not([hidden]), #failure:not([hidden])", {
      timeout: MOST_SECS * 1000,
    });
    const secs = (performance.now() - begun) / 1000;
    expect(errors).toEqual([]);
    expect(await page.isHidden("#failure")).toBe(true);
    expect((await page.textContent("#caption"))?.split(" ").length).toBeGreaterThan(3);
    const facts = await page.textContent("#facts");
    expect(facts).toContain("suite playroom 0.");
    console.info(`web: ${secs.toFixed(1)} s from opening the page; ${facts}`);
    expect(secs).toBeLessThan(MOST_SECS);

    // The answer moves and is no single colour.
    const levels = await page.locator("#answer").evaluate((element) => {
      const canvas = element as HTMLCanvasElement;
      const { data } = canvas.getContext("2d")!.getImageData(0, 0, canvas.width, canvas.height);
      return new Set(data.filter((_, index) => index % 4 === 0)).size;
    });
    expect(levels).toBeGreaterThan(10);
    // What came in and nothing but it: models and adapters of the suite, from this host alone.
    expect(asked.some((url) => url.includes("/suites/playroom/vdm-adapter/"))).toBe(true);
    expect(asked.filter((url) => !url.startsWith(`${host.url}/`) && !/^(data|blob):/.test(url))).toEqual([]);
  });
});
