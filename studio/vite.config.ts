/** Builds the studio into dist/studio, where `vans serve` finds it. @module */
import { defineConfig } from "vite";

export default defineConfig({
  root: import.meta.dirname,
  build: { outDir: "../dist/studio", emptyOutDir: true, target: "es2022", chunkSizeWarningLimit: 150 },
  // For work on the studio: npx vite studio, beside a running `vans serve`.
  server: { proxy: { "/api": "http://127.0.0.1:4280" } },
});
