/**
 * What a suite knows about the footage that it was trained on.
 * @module
 */
import { z } from "zod";

/** Measures of a clip that need no model; each is a number that a person can check by looking. */
export const DOMAIN_MEASURES = [
  "flatShare",
  "edgeStrength",
  "texture",
  "brightness",
  "contrast",
  "saturation",
  "motion",
  "unseenColours",
] as const;

/** Name of a measure. */
export type DomainMeasure = (typeof DOMAIN_MEASURES)[number];

const range = z.strictObject({ low: z.number(), high: z.number() });

/** The field `domain` of a `suite.json`. */
export const domainSchema = z.strictObject({
  /** Training clips that were measured. */
  clipCount: z.int().positive(),
  /** Where the measures of training clips lie, with a margin. */
  measures: z.strictObject({
    flatShare: range,
    edgeStrength: range,
    texture: range,
    brightness: range,
    contrast: range,
    saturation: range,
    motion: range,
    unseenColours: range,
  }),
  /** Colours of the training clips: one bit for each of 16 x 16 x 16 cells, base64. */
  colours: z.string().min(1),
  /** Root mean square error of the autoencoder on the input frames, in levels of 255. */
  reconstruction: range.optional(),
  /** The suite to use for other footage. */
  elsewhere: z.string().default("vans-3b"),
});

/** See {@link domainSchema}. */
export type DomainStatistics = z.infer<typeof domainSchema>;
