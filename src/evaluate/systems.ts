/**
 * Systems: ways to answer that are compared in a report. Each is a choice of parts of an evaluation: where its captions and
 * where its videos come from.
 * @module
 */
import type { EvaluationPart } from "./metric-table.ts";

/** Systems that the models of one suite make up. */
export const SYSTEM_NAMES = ["suite", "extension", "cascade", "still", "best-of"] as const;

/** Name of a system within an evaluation of one suite. */
export type SystemName = (typeof SYSTEM_NAMES)[number];

/** A system. */
export interface SystemDefinition {
  /** The part whose captions are its own; missing where it writes none. */
  readonly caption?: EvaluationPart;
  /** The part whose videos are its own. */
  readonly video: EvaluationPart;
  /** What it stands for. */
  readonly about: string;
}

/** What each system is made of. */
export const SYSTEMS: Readonly<Record<SystemName, SystemDefinition>> = {
  suite: {
    caption: "caption",
    video: "video",
    about: "the suite as it answers: the caption it writes, drawn with the clip as reference",
  },
  extension: {
    video: "extension",
    about: "no caption: the video model goes on with the clip",
  },
  cascade: {
    caption: "caption",
    video: "no-references",
    about: "the caption alone: the video model does not see the clip",
  },
  still: {
    caption: "still",
    video: "still",
    about: "the suite, shown the clip's last picture only (reasoning image-to-video)",
  },
  "best-of": {
    caption: "best-of",
    video: "best-of",
    about: "the best of several answers by the suite's own rewards, the truth unseen",
  },
};

/** The part of a system that a metric of some part is taken from; undefined where it has none. */
export function partOf(system: SystemName, part: EvaluationPart | "all"): EvaluationPart | undefined {
  const { caption, video } = SYSTEMS[system];
  if (part === "caption") return caption;
  if (part === "video") return video;
  return system === "suite" && part !== "all" ? part : undefined;
}
