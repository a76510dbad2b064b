/**
 * The tasks that recipes may name.
 * @module
 */
import { VansError } from "../base/errors.ts";
import type { TaskName } from "./recipe.ts";
import type { PrepareTask } from "./task.ts";
import { prepareVae } from "./train-vae.ts";
import { prepareVdm } from "./train-vdm.ts";
import { prepareVlm } from "./train-vlm.ts";
import { prepareVlmGround } from "./train-vlm-ground.ts";

const prepared: Partial<Record<TaskName, PrepareTask>> = {
  vae: prepareVae,
  vdm: prepareVdm,
  vlm: prepareVlm,
  "vlm-ground": prepareVlmGround,
};

/** The function that makes a task ready. */
export function taskNamed(name: TaskName): PrepareTask {
  const task = prepared[name];
  if (!task) throw new VansError("VANS_RECIPE_INVALID", `no task is called "${name}"`);
  return task;
}
