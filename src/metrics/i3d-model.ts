/**
 * The description of an I3D beside its weights: `config.json`, so that reduced networks trained here and the released one
 * are opened alike.
 * @module
 */
import { z } from "zod";
import { VansError } from "../base/errors.ts";
import type { I3dConfig } from "../models/i3d/index.ts";

const triple = z.tuple([z.int().positive(), z.int().positive(), z.int().positive()]);
const channels = z.int().positive();

/** `config.json` of an I3D; stages as `I3dConfig` has them. */
const i3dSchema = z.strictObject({
  model_type: z.literal("i3d"),
  /** Name of the weights in reports. */
  name: z.string().min(1),
  /** Side of the square frames in pixels. */
  image_size: z.int().positive(),
  /** Frames that it was trained on. */
  num_frames: z.int().positive(),
  batch_norm_eps: z.number().positive(),
  average_kernel: triple,
  /** Names of the classes, in the order of the logits. */
  classes: z.array(z.string()).min(1),
  stages: z.array(
    z.discriminatedUnion("kind", [
      z.strictObject({ kind: z.literal("unit"), name: z.string(), channels, kernel: triple, stride: triple }),
      z.strictObject({ kind: z.literal("pool"), name: z.string(), kernel: triple, stride: triple }),
      z.strictObject({
        kind: z.literal("mixed"),
        name: z.string(),
        channels: z.tuple([channels, channels, channels, channels, channels, channels]),
      }),
    ]),
  ),
});

/** The content of an I3D's `config.json`. */
export type I3dJson = z.infer<typeof i3dSchema>;

/** An I3D with what is needed around it. */
export interface I3dModel {
  readonly config: I3dConfig;
  readonly name: string;
  readonly sizePx: number;
  readonly frameCount: number;
  readonly classes: readonly string[];
}

/** Reads the content of an I3D's `config.json`. @throws `VANS_METRICS_MODEL` naming what does not fit */
export function i3dModel(raw: unknown): I3dModel {
  const checked = i3dSchema.safeParse(raw);
  if (!checked.success) {
    throw new VansError("VANS_METRICS_MODEL", "this is not the description of an I3D", {
      found: checked.error.issues
        .map((issue) => `${issue.path.map(String).join(".") || "file"}: ${issue.message}`)
        .join("; "),
    });
  }
  const { stages, average_kernel, batch_norm_eps, classes, name, image_size, num_frames } = checked.data;
  return {
    config: {
      stages,
      averageKernel: average_kernel,
      classCount: classes.length,
      epsilon: batch_norm_eps,
    },
    name,
    sizePx: image_size,
    frameCount: num_frames,
    classes,
  };
}
