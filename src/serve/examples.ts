/**
 * The clips that come with the package, to try things with.
 * @module
 */
import { readFile } from "node:fs/promises";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { z } from "zod";

const FOLDER = fileURLToPath(new URL("../../examples/clips/", import.meta.url));

/** A bundled clip with questions. */
export const exampleSchema = z.object({
  id: z.string(),
  name: z.string(),
  about: z.string(),
  questions: z.array(z.string()),
  isStill: z.boolean(),
  content: z.string(),
});
export type Example = z.infer<typeof exampleSchema>;

const listSchema = z.array(
  z.object({ name: z.string(), clip: z.string(), question: z.string(), about: z.string() }),
);

/** The bundled clips; none where the package came without them. */
export async function readExamples(): Promise<readonly (Example & { readonly path: string })[]> {
  const text = await readFile(join(FOLDER, "demo.json"), "utf8").catch(() => "[]");
  const examples = new Map<string, Example & { readonly path: string }>();
  for (const { clip, question, about } of listSchema.parse(JSON.parse(text))) {
    const before = examples.get(clip);
    const name = clip.slice(0, -extname(clip).length);
    const id = `example-${name}`;
    examples.set(clip, {
      id,
      name,
      about: before?.about ?? about,
      questions: [...(before?.questions ?? []), question],
      isStill: extname(clip) === ".png",
      content: `/api/v1/examples/${id}/content`,
      path: join(FOLDER, clip),
    });
  }
  return [...examples.values()];
}
