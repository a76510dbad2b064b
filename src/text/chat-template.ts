/**
 * Chat text for Qwen2.5-VL: from typed messages directly, or through any model's Jinja template.
 * @module
 */
import { Template } from "@huggingface/jinja";
import { VansError } from "../base/errors.ts";

/** A part of a message. Images and videos only mark their place; their tokens are filled in by {@link expandPads}. */
export type ChatPart =
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "image" }
  | { readonly type: "video" };

/** One turn of a conversation. */
export interface ChatMessage {
  readonly role: "system" | "user" | "assistant";
  readonly content: string | readonly ChatPart[];
}

/** Options of {@link renderChat} and {@link renderChatTemplate}. */
export interface ChatOptions {
  /** Whether the text ends with the assistant's header, ready for the model to go on. Default false. */
  readonly addGenerationPrompt?: boolean;
  /** Whether pictures and videos are numbered (`Video 1: `). Default false. */
  readonly addVisionId?: boolean;
}

/** What stands in front if the conversation does not begin with a system message. */
export const DEFAULT_SYSTEM_PROMPT = "You are a helpful assistant.";

const VISION_MARKS = {
  image: { label: "Picture", mark: "<|vision_start|><|image_pad|><|vision_end|>" },
  video: { label: "Video", mark: "<|vision_start|><|video_pad|><|vision_end|>" },
} as const;

/**
 * The chat text of Qwen2.5-VL. Equal to rendering {@link QWEN_CHAT_TEMPLATE}, without a template engine.
 *
 * @example
 * ```ts
 * import { renderChat } from "vans/text";
 * const text = renderChat([{ role: "user", content: [{ type: "video" }, { type: "text", text: "What next?" }] }]);
 * text.split("\n")[3]; // => "<|vision_start|><|video_pad|><|vision_end|>What next?<|im_end|>"
 * ```
 */
export function renderChat(
  messages: readonly ChatMessage[],
  { addGenerationPrompt = false, addVisionId = false }: ChatOptions = {},
): string {
  const seen = { image: 0, video: 0 };
  let out = "";
  if (messages.length > 0 && messages[0]!.role !== "system") {
    out += `<|im_start|>system\n${DEFAULT_SYSTEM_PROMPT}<|im_end|>\n`;
  }
  for (const { role, content } of messages) {
    const parts: readonly ChatPart[] =
      typeof content === "string" ? [{ type: "text", text: content }] : content;
    let body = "";
    for (const part of parts) {
      if (part.type === "text") {
        body += part.text;
        continue;
      }
      const { label, mark } = VISION_MARKS[part.type];
      seen[part.type]++;
      body += (addVisionId ? `${label} ${seen[part.type]}: ` : "") + mark;
    }
    out += `<|im_start|>${role}\n${body}<|im_end|>\n`;
  }
  return addGenerationPrompt ? `${out}<|im_start|>assistant\n` : out;
}

/** Qwen2.5-VL's chat format as a Jinja template, for engines that want one and as a check on {@link renderChat}. */
export const QWEN_CHAT_TEMPLATE = [
  "{%- set seen = namespace(image=0, video=0) -%}",
  "{%- for message in messages -%}",
  "{%- if loop.first and message.role != 'system' -%}",
  `{{- '<|im_start|>system\\n${DEFAULT_SYSTEM_PROMPT}<|im_end|>\\n' -}}`,
  "{%- endif -%}",
  "{{- '<|im_start|>' + message.role + '\\n' -}}",
  "{%- if message.content is string -%}{{- message.content -}}",
  "{%- else -%}{%- for part in message.content -%}",
  "{%- if part.type == 'image' or 'image' in part or 'image_url' in part -%}",
  "{%- set seen.image = seen.image + 1 -%}",
  "{%- if add_vision_id -%}{{- 'Picture ' + seen.image|string + ': ' -}}{%- endif -%}",
  `{{- '${VISION_MARKS.image.mark}' -}}`,
  "{%- elif part.type == 'video' or 'video' in part -%}",
  "{%- set seen.video = seen.video + 1 -%}",
  "{%- if add_vision_id -%}{{- 'Video ' + seen.video|string + ': ' -}}{%- endif -%}",
  `{{- '${VISION_MARKS.video.mark}' -}}`,
  "{%- elif 'text' in part -%}{{- part.text -}}{%- endif -%}",
  "{%- endfor -%}{%- endif -%}",
  "{{- '<|im_end|>\\n' -}}",
  "{%- endfor -%}",
  "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}",
].join("\n");

/**
 * Renders a model's own template (`chat_template` in its tokenizer config).
 *
 * @throws `VANS_TEXT_TEMPLATE_INVALID` if the template cannot be parsed or run
 */
export function renderChatTemplate(
  template: string,
  messages: readonly ChatMessage[],
  { addGenerationPrompt = false, addVisionId = false }: ChatOptions = {},
): string {
  try {
    return new Template(template).render({
      messages,
      add_generation_prompt: addGenerationPrompt,
      add_vision_id: addVisionId,
    });
  } catch (cause) {
    throw new VansError("VANS_TEXT_TEMPLATE_INVALID", "the chat template cannot be rendered", {
      found: cause instanceof Error ? cause.message : String(cause),
      cause,
    });
  }
}

/**
 * Replaces the k-th `padId` by `counts[k]` copies, one for each token of the k-th video (frames/2 · rows/28 · columns/28
 * for Qwen2.5-VL).
 *
 * @throws `VANS_TEXT_PADS_MISMATCH` if there are not as many pads as counts
 */
export function expandPads(ids: readonly number[], padId: number, counts: readonly number[]): number[] {
  const pads = ids.filter((id) => id === padId).length;
  if (pads !== counts.length) {
    throw new VansError("VANS_TEXT_PADS_MISMATCH", "the prompt and the videos do not match", {
      asked: `${counts.length} videos`,
      found: `${pads} places for a video in the prompt`,
      fix: "put one video part into the messages for each video",
    });
  }
  let seen = 0;
  return ids.flatMap((id) => (id === padId ? new Array<number>(counts[seen++]!).fill(id) : [id]));
}
