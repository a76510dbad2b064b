/**
 * The results of all stages into a dataset: manifest, card, quarantine, and a ledger in which every input is accounted
 * for. The same results give the same bytes.
 * @module
 */
import { open, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { VansError } from "../../base/errors.ts";
import { writeFileAtomically } from "../../weights/atomic-file.ts";
import { datasetCard } from "../format/dataset-card.ts";
import { readSamples, writeSamples } from "../format/manifest-file.ts";
import { overridden, readOverrides } from "../format/overrides.ts";
import { type SampleRow, sampleRowSchema } from "../format/sample-row.ts";
import { datasetStats } from "../format/stats.ts";
import { annotateSchema } from "./annotate-stage.ts";
import { reviewSchema } from "./review-stage.ts";
import { selectSchema } from "./select-stage.ts";
import { segmentName, splitSchema } from "./split-stage.ts";
import { readResult } from "./stage.ts";
import { type ListedVideo, readVideoList } from "./video-list.ts";

/** What became of the inputs: `level` is `video`, `segment`, `pair` or `sample`. */
export interface LedgerLine {
  readonly level: "video" | "segment" | "pair" | "sample";
  readonly item: string;
  readonly outcome: "kept" | "dropped" | "quarantined";
  readonly reason?: string;
}

/** Counts by level and outcome, and of dropped ones by reason. */
export interface Account {
  readonly videos: OutcomeCounts;
  readonly segments: OutcomeCounts;
  readonly pairs: OutcomeCounts;
  readonly samples: OutcomeCounts;
  /** `stage: reason` without what a judge said beyond it. */
  readonly reasons: Readonly<Record<string, number>>;
}
/** How many there were, and what became of them; the last three add up to the first. */
export interface OutcomeCounts {
  total: number;
  kept: number;
  dropped: number;
  quarantined: number;
}

/** Names of the files beside the manifest. */
export const LEDGER_NAME = "ledger.jsonl";
export const QUARANTINE_NAME = "quarantine.jsonl";
export const ACCOUNT_NAME = "account.json";

/**
 * Writes the dataset of a curation folder.
 *
 * @throws VansError `VANS_DATA_NOT_FINISHED` where a video lacks a stage
 */
export async function assemble(folder: string): Promise<Account> {
  const empty = (): OutcomeCounts => ({ total: 0, kept: 0, dropped: 0, quarantined: 0 });
  const counts = { video: empty(), segment: empty(), pair: empty(), sample: empty() };
  const reasons = new Map<string, number>();
  const overrides = await readOverrides(folder);
  const ledger = await Draft.open(join(folder, LEDGER_NAME));
  const quarantine = await Draft.open(join(folder, QUARANTINE_NAME));
  const note = async (line: LedgerLine): Promise<void> => {
    const count = counts[line.level];
    count.total++;
    count[line.outcome]++;
    if (line.reason !== undefined) {
      const short = shortReason(line.reason);
      reasons.set(short, (reasons.get(short) ?? 0) + 1);
    }
    await ledger.add(line);
  };
  async function* rows(): AsyncGenerator<SampleRow> {
    for await (const video of readVideoList(folder)) {
      for await (const row of rowsOf(folder, video, note, (line) => quarantine.add(line))) {
        const decided = overridden(row, overrides.get(row.id));
        if (decided === undefined) {
          const why = overrides.get(row.id)?.note;
          const reason = why ? `by hand: ${why}` : "by hand";
          await note({ level: "sample", item: row.id, outcome: "dropped", reason });
          continue;
        }
        await note({ level: "sample", item: row.id, outcome: "kept" });
        yield decided;
      }
    }
  }
  try {
    await writeSamples(folder, rows());
    await ledger.finish();
    await quarantine.finish();
  } catch (error) {
    await ledger.discard();
    await quarantine.discard();
    throw error;
  }
  const account: Account = {
    videos: counts.video,
    segments: counts.segment,
    pairs: counts.pair,
    samples: counts.sample,
    reasons: Object.fromEntries([...reasons].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1))),
  };
  await writeText(join(folder, ACCOUNT_NAME), `${JSON.stringify(account, null, 2)}\n`);
  const stats = await datasetStats(readSamples(folder));
  const card = datasetCard(stats, {
    name: `${Object.keys(stats.sources).sort().join(" and ") || "empty"} samples`,
    about: "Made with `vans data curate`: split into segments, clips selected, annotated, reviewed.",
    account: accountLines(account),
  });
  await writeText(join(folder, "README.md"), card);
  return account;
}

/** The account in words. */
export function accountLines(account: Account): string[] {
  const line = (name: string, { total, kept, dropped, quarantined }: OutcomeCounts): string =>
    `${name}: ${total}, of which ${kept} kept, ${dropped} dropped, ${quarantined} quarantined`;
  return [
    line("videos", account.videos),
    line("segments", account.segments),
    line("pairs of clips", account.pairs),
    line("samples", account.samples),
    ...Object.entries(account.reasons).map(([reason, count]) => `${reason}: ${count}`),
  ];
}

/** What is before the second colon: a judge's own words follow. */
function shortReason(reason: string): string {
  return reason.split(":").slice(0, 2).join(":").trim();
}

async function* rowsOf(
  folder: string,
  video: ListedVideo,
  note: (line: LedgerLine) => Promise<void>,
  quarantine: (line: object) => Promise<void>,
): AsyncGenerator<SampleRow> {
  const { id } = video;
  const results = {
    split: await readResult(folder, { name: "split", schema: splitSchema }, id),
    select: await readResult(folder, { name: "select", schema: selectSchema }, id),
    annotate: await readResult(folder, { name: "annotate", schema: annotateSchema }, id),
    review: await readResult(folder, { name: "review", schema: reviewSchema }, id),
  };
  for (const stage of ["split", "select", "annotate", "review"] as const) {
    const failed = results[stage]?.failed;
    if (failed !== undefined) {
      const reason = `${stage}: ${failed.code}: ${failed.message}`;
      await note({ level: "video", item: id, outcome: "dropped", reason });
      return;
    }
    if (results[stage] === undefined) {
      throw new VansError("VANS_DATA_NOT_FINISHED", `the stage ${stage} is not finished`, {
        found: `no result for ${id}`,
        fix: `run: vans data curate ${folder}`,
        data: { stage, video: id },
      });
    }
  }
  const [split, select, annotate, review] = [
    results.split!.value!,
    results.select!.value!,
    results.annotate!.value!,
    results.review!.value!,
  ];
  // Segments.
  for (const { item, reason } of [...split.dropped, ...select.dropped])
    await note({ level: "segment", item, outcome: "dropped", reason });
  for (const line of select.quarantined) {
    await note({ level: "segment", item: line.item, outcome: "quarantined", reason: line.reason });
    await quarantine({ stage: "select", ...line });
  }
  for (const item of annotate.unpaired)
    await note({ level: "segment", item, outcome: "dropped", reason: "annotate: no neighbour to pair with" });
  const alone = new Set(annotate.unpaired);
  for (const clip of select.clips) {
    const item = segmentName(id, clip.index);
    if (!alone.has(item)) await note({ level: "segment", item, outcome: "kept" });
  }
  // Pairs.
  for (const { item, reason } of annotate.dropped)
    await note({ level: "pair", item, outcome: "dropped", reason });
  for (const line of annotate.quarantined) {
    await note({ level: "pair", item: line.item, outcome: "quarantined", reason: line.reason });
    await quarantine({ stage: "annotate", ...line });
  }
  for (const item of new Set(annotate.samples.map((sample) => sample.pair)))
    await note({ level: "pair", item, outcome: "kept" });
  // Samples.
  for (const { item, reason } of review.dropped)
    await note({ level: "sample", item, outcome: "dropped", reason });
  for (const line of review.quarantined) {
    await note({ level: "sample", item: line.item, outcome: "quarantined", reason: line.reason });
    await quarantine({ stage: "review", ...line });
  }
  if (review.samples.length === 0) {
    const reason = "no sample came out of it";
    await note({ level: "video", item: id, outcome: "dropped", reason });
    return;
  }
  await note({ level: "video", item: id, outcome: "kept" });
  for (const sample of review.samples) {
    const input = select.clips.find((clip) => clip.index === sample.input)!;
    const output = select.clips.find((clip) => clip.index === sample.output)!;
    const scores = (prefix: string, of: Readonly<Record<string, number>>): [string, number][] =>
      Object.entries(of).map(([name, value]) => [`${prefix}_${name}`, value]);
    const byStage = (of: "prompt" | "model"): Record<string, string> =>
      Object.fromEntries(
        Object.entries({ select: select[of], annotate: annotate[of], review: review[of] }).filter(
          (entry): entry is [string, string] => entry[1] !== null,
        ),
      );
    yield sampleRowSchema.parse({
      id: sample.id,
      kind: video.kind,
      source: video.source,
      licence: video.licence,
      split: video.split,
      video: id,
      question: sample.question,
      reasoning: sample.reasoning,
      caption: sample.caption,
      input: input.clip,
      output: output.clip,
      input_start_secs: input.startSecs,
      input_end_secs: input.endSecs,
      output_start_secs: output.startSecs,
      output_end_secs: output.endSecs,
      goal: video.goal,
      input_label: input.label,
      output_label: output.label,
      skipped_steps: sample.skipped,
      scores: Object.fromEntries([...scores("input", input.scores), ...scores("output", output.scores)]),
      verdict: review.model === null ? null : sample.verdict,
      reasons: sample.reasons,
      prompts: byStage("prompt"),
      models: byStage("model"),
    } satisfies Parameters<typeof sampleRowSchema.parse>[0]);
  }
}

async function writeText(path: string, text: string): Promise<void> {
  await writeFileAtomically(path, async (file) => {
    await file.writeFile(text);
  });
}

/** A file of JSON lines that appears whole. */
class Draft {
  readonly #path: string;
  readonly #draft: string;
  readonly #file: Awaited<ReturnType<typeof open>>;

  private constructor(path: string, draft: string, file: Awaited<ReturnType<typeof open>>) {
    this.#path = path;
    this.#draft = draft;
    this.#file = file;
  }

  static async open(path: string): Promise<Draft> {
    const draft = `${path}.${process.pid}.part`;
    return new Draft(path, draft, await open(draft, "w"));
  }

  async add(line: object): Promise<void> {
    await this.#file.write(`${JSON.stringify(line)}\n`);
  }

  async finish(): Promise<void> {
    await this.#file.close();
    await rename(this.#draft, this.#path);
  }

  async discard(): Promise<void> {
    await this.#file.close().catch(() => {});
    await rm(this.#draft, { force: true });
  }
}
