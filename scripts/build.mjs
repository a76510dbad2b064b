// Compiles src/ to dist/. Runs on `npm install` in a clone (the `prepare` script), so that
// `npx vans` works right away; an installed tarball carries dist/ and skips it.
import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

const root = new URL("..", import.meta.url).pathname;
if (!existsSync(join(root, "tsconfig.build.json"))) process.exit(0);
const require = createRequire(import.meta.url);
let manifest;
try {
  manifest = require.resolve("typescript/package.json");
} catch {
  console.error(
    "vans: TypeScript is not installed (npm install --omit=dev in a clone?); dist/ was not rebuilt.",
  );
  process.exit(existsSync(join(root, "dist/cli/main.js")) ? 0 : 1);
}
const bin = JSON.parse(readFileSync(manifest, "utf8")).bin;
const tsc = join(dirname(manifest), typeof bin === "string" ? bin : bin.tsc);
rmSync(join(root, "dist"), { recursive: true, force: true });
execFileSync(process.execPath, [tsc, "-p", join(root, "tsconfig.build.json")], { stdio: "inherit" });
const cli = join(root, "dist/cli/main.js");
if (existsSync(cli)) chmodSync(cli, 0o755);

// The studio, into dist/studio. Its tools are needed for building only.
const vite = join(root, "node_modules/vite/bin/vite.js");
if (existsSync(join(root, "studio/vite.config.ts"))) {
  if (existsSync(vite))
    execFileSync(process.execPath, [vite, "build", join(root, "studio"), "--logLevel", "warn"], {
      stdio: "inherit",
    });
  else console.error("vans: Vite is not installed; the studio was not built.");
}
