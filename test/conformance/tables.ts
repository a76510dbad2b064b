/**
 * Cases made of tables rather than models: file formats, tokenizers, rules, preprocessing, text metrics. Their runners
 * stand beside the code that they judge.
 * @module
 */
import { runPreprocessingCase } from "../../src/media/conformance.ts";
import { runRulesCase, runTokenizersCase } from "../../src/text/conformance.ts";
import { type CaseCheck, type CaseFolder, openCase } from "../../src/weights/case-folder.ts";
import { runFormatsCase } from "../../src/weights/conformance.ts";
import type { CaseHandler, Check, GoldenCase } from "./case.ts";

function tableHandler(
  title: string,
  recognises: (golden: GoldenCase) => boolean,
  run: (folder: string, opened: CaseFolder) => Promise<CaseCheck[]>,
  ownFiles: (name: string) => boolean = () => false,
): CaseHandler {
  return {
    title,
    recognises,
    run: async (golden): Promise<Check[]> => {
      const opened = await openCase(golden.folder);
      const checks = await run(golden.folder, opened);
      // The runner read the folder itself; hand on what it used.
      for (const [file, tensors] of golden.files) {
        if (ownFiles(file)) for (const name of tensors.names()) tensors.markUsed(name);
        if (file !== "io.safetensors") continue;
        const unused = new Set(opened.unused());
        for (const name of tensors.names()) if (!unused.has(name)) tensors.markUsed(name);
      }
      return checks;
    },
  };
}

const has = (golden: GoldenCase, ...names: readonly string[]): boolean =>
  names.some((name) => golden.listing.includes(name));

export const tables: readonly CaseHandler[] = [
  // A format case proves that whole files are read; its runner compares every tensor of every file.
  tableHandler(
    "weight files",
    (golden) => golden.listing.some((name) => name.endsWith(".pth")),
    runFormatsCase,
    () => true,
  ),
  tableHandler(
    "tokenizers",
    (golden) => golden.listing.some((name) => name.endsWith(".tokenizer.json")),
    runTokenizersCase,
  ),
  tableHandler("rules", (golden) => has(golden, "captions.json", "think_format.json"), runRulesCase),
  tableHandler(
    "preprocessing",
    (golden) => has(golden, "smart_resize.json", "frame_index.json", "reference_picks.json"),
    runPreprocessingCase,
  ),
];
