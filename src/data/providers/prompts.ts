/**
 * Prompts as files: those in the dataset's `prompts/` folder count before those that come with the package. A prompt's
 * version is the hash of its text, and every sample names the prompts that made it.
 * @module
 */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { VansError } from "../../base/errors.ts";

/** The prompts that exist; each is a file `<name>.md`. */
export const PROMPT_NAMES = [
  "select",
  "annotate-procedural",
  "annotate-predictive",
  "reason",
  "review",
] as const;
export type PromptName = (typeof PROMPT_NAMES)[number];

/** A prompt that was read. */
export interface Prompt {
  readonly name: PromptName;
  /** `name@` and the first 8 digits of its SHA-256. */
  readonly version: string;
  /** What is above the line `---`: the system's part. */
  readonly system: string;
  /** What is below: the user's part, with `{{places}}`. */
  readonly text: string;
}

/** The package's own folder of prompts: beside `dist/` or `src/`. */
export function bundledPromptsFolder(): string {
  return join(dirname(fileURLToPath(import.meta.url)), "..", "..", "..", "prompts");
}

/**
 * Reads a prompt, the dataset's own or the bundled one.
 *
 * @throws VansError `VANS_DATA_PROMPT_INVALID`
 */
export async function readPrompt(name: PromptName, folder: string): Promise<Prompt> {
  const own = join(folder, "prompts", `${name}.md`);
  const bundled = join(bundledPromptsFolder(), `${name}.md`);
  const whole = await readFile(own, "utf8").catch(() => readFile(bundled, "utf8"));
  const [system, ...rest] = whole.replaceAll("\r\n", "\n").split(/^---$/m);
  if (rest.length !== 1) {
    throw new VansError("VANS_DATA_PROMPT_INVALID", `the prompt ${name} has not two parts`, {
      asked: own,
      found: `${rest.length} lines of ---`,
      fix: "write the system's part, a line ---, then the user's part",
    });
  }
  const hash = createHash("sha256").update(whole).digest("hex").slice(0, 8);
  return { name, version: `${name}@${hash}`, system: system!.trim(), text: rest[0]!.trim() };
}

/**
 * Fills the places of a prompt's text.
 *
 * @throws VansError `VANS_DATA_PROMPT_INVALID` for a place that nothing fills
 */
export function fillPrompt(prompt: Prompt, values: Readonly<Record<string, string>>): string {
  return prompt.text.replaceAll(/\{\{(\w+)\}\}/g, (_, place: string) => {
    const value = values[place];
    if (value !== undefined) return value;
    throw new VansError(
      "VANS_DATA_PROMPT_INVALID",
      `the prompt ${prompt.name} has a place that nothing fills`,
      {
        found: `{{${place}}}`,
        fix: `use: ${Object.keys(values)
          .map((name) => `{{${name}}}`)
          .join(" ")}`,
      },
    );
  });
}
