/**
 * Builds the page that answers in the browser alone into dist/web: the library's own code, with stand-ins for what only
 * Node has.
 * @module
 */
import { readFileSync, statSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { defineConfig, type Plugin } from "vite";

const ROOT = resolve(import.meta.dirname, "..");
const RUNTIME = join(ROOT, "node_modules/onnxruntime-web/dist");
const SUITE = "suites/playroom";

const NODE_MODULES: Readonly<Record<string, string>> = {
  "node:fs": "node-fs",
  "node:fs/promises": "node-fs",
  "node:path": "node-path",
  "node:url": "node-url",
  "node:crypto": "node-crypto",
  "node:os": "node-system",
  "node:module": "node-system",
  "node:child_process": "node-system",
  "node:worker_threads": "node-system",
  "onnxruntime-node": "onnxruntime",
  sharp: "sharp",
  "node-webcodecs": "webcodecs",
};

/** Files of the library in whose place another stands. */
const SOURCES: Readonly<Record<string, string>> = {
  "src/media/codec-host.ts": "codec-host",
  "src/media/webcodecs.ts": "webcodecs",
  "src/media/picture-file.ts": "picture-file",
  "src/answer/devices.ts": "devices",
};

const standIn = (name: string): string => join(import.meta.dirname, "stand-ins", `${name}.ts`);

/** Puts the stand-ins in place. Asset paths of the library start at an imagined package root. */
function standIns(): Plugin {
  return {
    name: "stand-ins",
    enforce: "pre",
    async resolveId(id, importer) {
      const named = NODE_MODULES[id];
      if (named) return standIn(named);
      const isOurs = importer?.startsWith(join(ROOT, "src/"));
      if (id === "mediabunny" && isOurs) return standIn("mediabunny");
      if (!isOurs || !id.startsWith(".")) return undefined;
      const source = SOURCES[relative(ROOT, resolve(importer!, "..", id))];
      return source ? standIn(source) : undefined;
    },
    transform(code, id) {
      if (!id.startsWith(join(ROOT, "src/")) || !code.includes("import.meta.url")) return undefined;
      return code.replaceAll("import.meta.url", JSON.stringify(`file:///vans/${relative(ROOT, id)}`));
    },
  };
}

interface Part {
  readonly config?: string;
  readonly weights?: string;
  readonly tokenizer?: string;
}

/** Paths of what an answer needs of a suite and of those that it extends. */
function filesOf(folder: string): string[] {
  const manifest = JSON.parse(readFileSync(join(ROOT, folder, "suite.json"), "utf8")) as {
    readonly extends?: string;
    readonly adapters?: readonly Part[];
  } & Readonly<Partial<Record<"vlm" | "vdm" | "vae" | "textEncoder", Part>>>;
  const { vlm, vdm, vae, textEncoder, adapters = [] } = manifest;
  const named = [vlm, vdm, vae, textEncoder, ...adapters].flatMap((part) =>
    part ? [part.config, part.weights, part.tokenizer] : [],
  );
  const own = ["suite.json", ...named.filter((path) => path !== undefined)].map((path) => join(folder, path));
  return manifest.extends ? [...own, ...filesOf(join(folder, manifest.extends))] : own;
}

/** What the page knows of the suite and the bundled clips; with `emits` the files themselves are added too. */
function suiteAndExamples(emits: boolean): Plugin {
  const virtual: Readonly<Record<string, () => string>> = {
    "virtual:suite-files": () => {
      const files = ["package.json", ...filesOf(SUITE)].map((path) => ({
        path,
        bytes: contentOf(path).length,
      }));
      return `export default ${JSON.stringify(files)}`;
    },
    "virtual:download": () => {
      const sizes = {
        suite: filesOf(SUITE).reduce((sum, path) => sum + contentOf(path).length, 0),
        wasm: statSync(join(RUNTIME, "ort-wasm-simd-threaded.wasm")).size,
        webgpu: statSync(join(RUNTIME, "ort-wasm-simd-threaded.asyncify.wasm")).size,
      };
      return `export default ${JSON.stringify(sizes)}`;
    },
    "virtual:examples": () => `export default ${readFileSync(join(ROOT, "examples/clips/demo.json"), "utf8")}`,
  };
  const contentOf = (path: string): Buffer => {
    const bytes = readFileSync(join(ROOT, path));
    if (path !== "package.json") return bytes;
    // Of the package's own description only the version is needed.
    return Buffer.from(JSON.stringify({ version: JSON.parse(bytes.toString()).version }));
  };
  return {
    name: "suite-and-examples",
    resolveId: (id) => (virtual[id] ? `\0${id}` : undefined),
    load: (id) => virtual[id.slice(1)]?.(),
    generateBundle() {
      if (!emits) return;
      const demo = JSON.parse(readFileSync(join(ROOT, "examples/clips/demo.json"), "utf8")) as { clip: string }[];
      const clips = new Set(demo.map(({ clip }) => `examples/clips/${clip}`));
      for (const path of ["package.json", ...filesOf(SUITE), ...clips])
        this.emitFile({ type: "asset", fileName: path, source: contentOf(path) });
    },
  };
}

export default defineConfig({
  root: import.meta.dirname,
  base: "./",
  build: {
    outDir: "../dist/web",
    emptyOutDir: true,
    target: "es2022",
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 2000,
  },
  plugins: [standIns(), suiteAndExamples(true)],
  worker: { format: "es", plugins: () => [standIns(), suiteAndExamples(false)] },
});
