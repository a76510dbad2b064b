/**
 * The card of a dataset: `README.md`, made from the data. Its head tells Hugging Face `datasets` where the table is.
 * @module
 */
import { MANIFEST_NAME } from "./manifest-file.ts";
import { FORMAT_VERSION } from "./sample-row.ts";
import type { DatasetStats } from "./stats.ts";

/** What the card says beside the counts. */
export interface CardFacts {
  readonly name: string;
  /** One paragraph on where the videos come from and how samples were made. */
  readonly about?: string;
  /** Lines on what was left out, by stage and reason. */
  readonly account?: readonly string[];
}

const SIZES = [
  [1000, "n<1K"],
  [10_000, "1K<n<10K"],
  [100_000, "10K<n<100K"],
  [1_000_000, "100K<n<1M"],
] as const;

/** The text of the card. The same data give the same text. */
export function datasetCard(stats: DatasetStats, facts: CardFacts): string {
  const size = SIZES.find(([limit]) => stats.samples < limit)?.[1] ?? "n>1M";
  const table = (title: string, counts: Readonly<Record<string, number>>): string[] => [
    `| ${title} | samples |`,
    "| --- | ---: |",
    ...Object.entries(counts).map(([name, count]) => `| ${name.replaceAll("|", "\\|")} | ${count} |`),
    "",
  ];
  const secs = (value: number): string => `${value.toFixed(2)} s`;
  return [
    "---",
    `pretty_name: ${JSON.stringify(facts.name)}`,
    `license: ${licenceOf(stats)}`,
    "task_categories: [video-text-to-text, image-to-video]",
    "language: [en]",
    `size_categories: [${size}]`,
    "tags: [video-next-event-prediction, vans]",
    "configs:",
    "  - config_name: default",
    "    data_files:",
    "      - split: samples",
    `        path: ${MANIFEST_NAME}`,
    "---",
    "",
    `# ${facts.name}`,
    "",
    `Video-next-event prediction: an input clip, a question, reasoning, a caption of what comes next, and a clip that shows it.`,
    ...(facts.about === undefined ? [] : ["", facts.about]),
    "",
    "## What is in it",
    "",
    `${stats.samples} samples from ${stats.videos} videos; input clips of ${secs(stats.inputSecs.mean)} on average ` +
      `(${secs(stats.inputSecs.least)} to ${secs(stats.inputSecs.most)}), output clips of ${secs(stats.outputSecs.mean)} ` +
      `(${secs(stats.outputSecs.least)} to ${secs(stats.outputSecs.most)}).`,
    "",
    ...table("kind", stats.kinds),
    ...table("split", stats.splits),
    ...table("source", stats.sources),
    ...table("licence", stats.licences),
    `Questions have ${stats.words.question.mean.toFixed(1)} words on average, reasonings ${stats.words.reasoning.mean.toFixed(1)}, ` +
      `captions ${stats.words.caption.mean.toFixed(1)}; ${stats.vocabulary} different words in all. ` +
      `${stats.withSkippedSteps} samples skip at least one step.`,
    "",
    ...(facts.account === undefined || facts.account.length === 0
      ? []
      : ["## What was left out", "", ...facts.account.map((line) => `- ${line}`), ""]),
    "## Columns",
    "",
    "`id`, `kind`, `source`, `licence`, `split`, `video`, `question`, `reasoning`, `caption`, `input` and `output` (clips, relative to",
    "this folder), times in the source video, `goal` and labels, `skipped_steps`, `scores`, the judge's `verdict` and `reasons`,",
    "`prompts` and `models` by stage; simulated samples also have `family`, `seed`, `world_version`, `event`, `paraphrases`, `wrong_events`.",
    "Lists and records are JSON columns.",
    "",
    "```python",
    "from datasets import load_dataset",
    'samples = load_dataset("path/to/this/folder", split="samples")',
    "```",
    "",
    `Format version ${FORMAT_VERSION}. Check it with \`vans data validate\`, look at it with \`vans data view\`.`,
    "",
  ].join("\n");
}

function licenceOf(stats: DatasetStats): string {
  const names = Object.keys(stats.licences);
  return names.length === 1 && /^[a-z0-9.-]+$/i.test(names[0]!) ? names[0]!.toLowerCase() : "other";
}
