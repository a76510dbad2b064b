/** Clips by their ids. @module */
import { type Answer, type ClipInfo, call } from "../api.ts";

/** The clip that an answer is about. */
export async function clipOf(answer: Answer): Promise<ClipInfo | undefined> {
  const { clip } = answer.request;
  if (clip.startsWith("answer:")) {
    const id = clip.slice("answer:".length);
    return { id: clip, name: "an answer", content: `/api/v1/answers/${id}/files/answer.mp4`, isStill: false };
  }
  try {
    const { examples } = await call<{ examples: (ClipInfo & { id: string })[] }>("GET", "/examples");
    return examples.find(({ id }) => id === clip) ?? (await call<ClipInfo>("GET", `/uploads/${clip}`));
  } catch {
    return undefined;
  }
}
