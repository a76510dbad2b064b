/** Text: tokenizers and their training, chat format, answer format, prompt cleaning. @module */
export * from "./answer-stream.ts";
export * from "./answer-template.ts";
export * from "./chat-template.ts";
export { runRulesCase, runTokenizersCase } from "./conformance.ts";
export { fixText } from "./fix-text.ts";
export { unescapeHtml } from "./html-unescape.ts";
export { cleanPrompt } from "./prompt-cleaning.ts";
export { StreamDecoder } from "./stream-decoder.ts";
export * from "./tokenizer.ts";
export * from "./train-tokenizer.ts";
export { collapseSpaces, isBlank, strip } from "./whitespace.ts";
