import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type ChatMessage,
  type ChatPart,
  expandPads,
  QWEN_CHAT_TEMPLATE,
  renderChat,
  renderChatTemplate,
} from "./chat-template.ts";

const part: fc.Arbitrary<ChatPart> = fc.oneof(
  fc.record({ type: fc.constant("text" as const), text: fc.string({ unit: "grapheme" }) }),
  fc.record({ type: fc.constantFrom("image" as const, "video" as const) }),
);
const message: fc.Arbitrary<ChatMessage> = fc.record({
  role: fc.constantFrom("system" as const, "user" as const, "assistant" as const),
  content: fc.oneof(fc.string({ unit: "grapheme" }), fc.array(part, { maxLength: 4 })),
});

describe("chat text", () => {
  it("is the same from the builder and from the template", () => {
    const options = fc.record({ addGenerationPrompt: fc.boolean(), addVisionId: fc.boolean() });
    fc.assert(
      fc.property(fc.array(message, { maxLength: 4 }), options, (messages, given) => {
        expect(renderChat(messages, given)).toBe(renderChatTemplate(QWEN_CHAT_TEMPLATE, messages, given));
      }),
      { numRuns: 150 },
    );
  });

  it("names a broken template", () => {
    const broken = () => renderChatTemplate("{% for %}", []);
    expect(broken).toThrow(expect.objectContaining({ code: "VANS_TEXT_TEMPLATE_INVALID" }));
  });
});

describe("expandPads", () => {
  it("makes room for the tokens of each video", () => {
    expect(expandPads([1, 9, 2, 9, 3], 9, [2, 3])).toEqual([1, 9, 9, 2, 9, 9, 9, 3]);
    expect(expandPads([1, 2], 9, [])).toEqual([1, 2]);
  });
  it("refuses another number of videos", () => {
    expect(() => expandPads([1, 9, 9], 9, [2])).toThrow(
      expect.objectContaining({ code: "VANS_TEXT_PADS_MISMATCH" }),
    );
  });
});
