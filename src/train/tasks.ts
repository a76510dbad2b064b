/**
 * The tasks that recipes may name.
 * @module
 */
import { VansError } from "../base/errors.ts";
import type { TaskName } from "./recipe.ts";
import type { PrepareTask } from "./task.ts";
import { prepareVae } from "./train-vae.ts";

const prepared: Partial<Record<TaskName, PrepareTask>> = {
  vae: prepareVae,
};

/** The function that makes a task ready. */
export function taskNamed(name: TaskName): PrepareTask {
  const task = prepared[name];
  if (!task) throw new VansError("VANS_RECIPE_INVALID", `no task is called "${name}"`);
  return task;
}
