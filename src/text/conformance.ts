/**
 * Runs the reference cases of text: tokenizers, chat template and prompt cleaning; answer rules, learning-rate
 * schedules and moving averages.
 * @module
 */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { type LearningRateSchedule, learningRate, movingAverageDecay } from "../nn/schedule.ts";
import {
  type CaseCheck,
  type CaseFolder,
  exactCheck,
  openCase,
  sameNumbers,
} from "../weights/case-folder.ts";
import { asFloat32 } from "../weights/tensor-data.ts";
import { extractCaption, hasThinkFormat, isWellFormed, parseAnswer } from "./answer-template.ts";
import { type ChatMessage, QWEN_CHAT_TEMPLATE, renderChat, renderChatTemplate } from "./chat-template.ts";
import { cleanPrompt } from "./prompt-cleaning.ts";
import { StreamDecoder } from "./stream-decoder.ts";
import { loadTokenizer, type Tokenizer } from "./tokenizer.ts";

const TOKENIZER_SUFFIX = ".tokenizer.json";

interface TokenizerRow {
  readonly text: string;
  readonly ids: readonly number[];
  readonly decoded: string;
  readonly decoded_skip_special: string;
}

interface ChatRow {
  readonly messages: readonly ChatMessage[];
  readonly add_generation_prompt?: boolean;
  readonly add_vision_id?: boolean;
  readonly text: string;
  readonly ids: readonly number[];
}

/**
 * Checks every `X.tokenizer.json` of the folder against its table `X.json` (ids, text with and without special
 * tokens), `chat.json` (typed builder, Jinja template, ids) and `cleaning.json`.
 */
export async function runTokenizersCase(folder: string, opened?: CaseFolder): Promise<CaseCheck[]> {
  const golden = opened ?? (await openCase(folder));
  const files = (await readdir(folder)).sort();
  const checks: CaseCheck[] = [];
  const tokenizers: Tokenizer[] = [];
  for (const file of files.filter((name) => name.endsWith(TOKENIZER_SUFFIX))) {
    const name = file.slice(0, -TOKENIZER_SUFFIX.length);
    const tokenizer = await loadTokenizer(join(folder, file));
    tokenizers.push(tokenizer);
    checks.push(
      ...checkTokenizer(golden, name, tokenizer, (await golden.table(`${name}.json`)) as TokenizerRow[]),
    );
  }
  if (files.includes("chat.json")) {
    const chatTokenizer = tokenizers.find((tokenizer) => tokenizer.idOf("<|im_start|>") !== undefined);
    const rows = (await golden.table("chat.json")) as ChatRow[];
    checks.push(...rows.flatMap((row, index) => checkChat(row, index, chatTokenizer)));
  }
  if (files.includes("cleaning.json")) {
    const rows = (await golden.table("cleaning.json")) as { text: string; cleaned: string }[];
    for (const { text, cleaned } of rows)
      checks.push(exactCheck(`cleaning ${shown(text)}`, cleanPrompt(text) === cleaned));
  }
  return checks;
}

function checkTokenizer(
  golden: CaseFolder,
  name: string,
  tokenizer: Tokenizer,
  rows: readonly TokenizerRow[],
): CaseCheck[] {
  const checks: CaseCheck[] = [];
  let totalIds = 0;
  for (const { text, ids, decoded, decoded_skip_special: plain } of rows) {
    const ours = tokenizer.encode(text);
    totalIds += ours.length;
    checks.push(exactCheck(`${name} encodes ${shown(text)}`, sameNumbers(ours, ids)));
    checks.push(exactCheck(`${name} decodes ${shown(text)}`, tokenizer.decode(ids) === decoded));
    const withoutSpecial = tokenizer.decode(ids, { skipSpecialTokens: true });
    checks.push(
      exactCheck(`${name} decodes without special tokens ${shown(text)}`, withoutSpecial === plain),
    );
    if (!tokenizer.stripsText)
      checks.push(exactCheck(`${name} streams ${shown(text)}`, streamed(tokenizer, ids) === plain));
  }
  const { [`${name}_vocab_size`]: vocabSize, [`${name}_total_ids`]: total } = golden.description.values;
  if (vocabSize !== undefined)
    checks.push(exactCheck(`${name} vocabulary size`, tokenizer.tokenCount === vocabSize));
  if (total !== undefined) checks.push(exactCheck(`${name} number of ids`, totalIds === total));
  return checks;
}

function streamed(tokenizer: Tokenizer, ids: readonly number[]): string {
  const decoder = new StreamDecoder(tokenizer);
  return ids.map((id) => decoder.push(id)).join("") + decoder.finish();
}

function checkChat(row: ChatRow, index: number, tokenizer: Tokenizer | undefined): CaseCheck[] {
  const options = {
    addGenerationPrompt: row.add_generation_prompt ?? false,
    addVisionId: row.add_vision_id ?? false,
  };
  const ids = tokenizer?.encode(row.text) ?? [];
  return [
    exactCheck(`chat ${index}: builder`, renderChat(row.messages, options) === row.text),
    exactCheck(
      `chat ${index}: template`,
      renderChatTemplate(QWEN_CHAT_TEMPLATE, row.messages, options) === row.text,
    ),
    exactCheck(`chat ${index}: ids`, sameNumbers(ids, row.ids)),
  ];
}

/**
 * Checks caption extraction and format (`captions.json`), `think_format.json`, the learning rates `lr.*` and the moving
 * average `ema.*`.
 */
export async function runRulesCase(folder: string, opened?: CaseFolder): Promise<CaseCheck[]> {
  const golden = opened ?? (await openCase(folder));
  const checks: CaseCheck[] = [];
  const captions = (await golden.table("captions.json")) as {
    text: string;
    caption: string;
    format: number;
  }[];
  for (const { text, caption, format } of captions) {
    checks.push(exactCheck(`caption of ${shown(text)}`, extractCaption(text) === caption));
    checks.push(exactCheck(`format of ${shown(text)}`, isWellFormed(text) === (format === 1)));
    const parsed = parseAnswer(text);
    checks.push(
      exactCheck(`parse ${shown(text)}`, parsed.caption === caption && parsed.wellFormed === (format === 1)),
    );
  }
  const thinking = (await golden.table("think_format.json")) as { text: string; reward: number }[];
  for (const { text, reward } of thinking) {
    checks.push(exactCheck(`think format of ${shown(text)}`, hasThinkFormat(text) === (reward === 1)));
  }
  const tolerance = golden.tolerance("relative_to_abs_max", 1e-6);
  for (const name of golden.names().filter((tensor) => tensor.startsWith("lr."))) {
    const expected = asFloat32(golden.tensor(name));
    const schedule = scheduleOf(name.slice("lr.".length), golden);
    const ours = Array.from(expected, (_, step) => learningRate(schedule, step));
    checks.push({ name, maxError: relativeError(ours, expected), tolerance });
  }
  if (golden.has("ema.weights")) checks.push(checkMovingAverage(golden, tolerance));
  checks.push(
    exactCheck(`unused tensors: ${golden.unused().join(", ") || "none"}`, golden.unused().length === 0),
  );
  return checks;
}

/** The schedule that a table's name means; the names are those of transformers. */
function scheduleOf(name: string, golden: CaseFolder): LearningRateSchedule {
  const number = (key: string): number => Number(golden.description.config[key]);
  const base = number("base_lr");
  const [warmupSteps, totalSteps] = [number("warmup_steps"), number("training_steps")];
  if (name === "constant") return { kind: "constant", base };
  if (name === "constant_with_warmup") return { kind: "constant", base, warmupSteps };
  if (name === "linear" || name === "cosine") return { kind: name, base, warmupSteps, totalSteps };
  return { kind: "constant", base: Number.NaN };
}

function checkMovingAverage(golden: CaseFolder, tolerance: number): CaseCheck {
  const weights = golden.tensor("ema.weights");
  const [steps = 0, width = 0] = weights.shape;
  const values = asFloat32(weights);
  const expected = asFloat32(golden.tensor("ema.average"));
  const rule = {
    decay: Number(golden.description.config["ema_decay"]),
    interval: Number(golden.description.config["ema_interval"]),
  };
  const average = Array.from(values.subarray(0, width));
  const ours: number[] = [];
  for (let step = 0; step < steps; step++) {
    const decay = movingAverageDecay(rule, step);
    for (let i = 0; i < width; i++)
      average[i] = decay * average[i]! + (1 - decay) * values[step * width + i]!;
    ours.push(...average);
  }
  return { name: "ema.average", maxError: relativeError(ours, expected), tolerance };
}

/** `max|a - b| / max|b|`. */
function relativeError(ours: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (ours.length !== expected.length) return Number.POSITIVE_INFINITY;
  let [difference, largest] = [0, 0];
  for (let i = 0; i < expected.length; i++) {
    difference = Math.max(difference, Math.abs(ours[i]! - expected[i]!));
    largest = Math.max(largest, Math.abs(expected[i]!));
  }
  return difference / Math.max(largest, Number.MIN_VALUE);
}

/** A text for the name of a check: quoted, escaped, short. */
function shown(text: string): string {
  const quoted = JSON.stringify(text);
  return quoted.length > 60 ? `${quoted.slice(0, 57)}…"` : quoted;
}
