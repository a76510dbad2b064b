/**
 * The tasks that recipes may name.
 * @module
 */
import { prepareJointGrpoAllInOne } from "./joint-grpo-all-in-one.ts";
import { prepareJointGrpo1 } from "./joint-grpo-stage-1.ts";
import { prepareJointGrpo2 } from "./joint-grpo-stage-2.ts";
import { prepareLarge } from "./large-task.ts";
import type { TaskName } from "./recipe.ts";
import type { PrepareTask } from "./task.ts";
import { prepareClip } from "./train-clip.ts";
import { prepareI3d } from "./train-i3d.ts";
import { prepareVae } from "./train-vae.ts";
import { prepareVdm } from "./train-vdm.ts";
import { prepareVlm } from "./train-vlm.ts";
import { prepareVlmGround } from "./train-vlm-ground.ts";

const prepared: Record<TaskName, PrepareTask> = {
  clip: prepareClip,
  i3d: prepareI3d,
  "joint-grpo-1": prepareJointGrpo1,
  "joint-grpo-2": prepareJointGrpo2,
  "joint-grpo-all-in-one": prepareJointGrpoAllInOne,
  vae: prepareVae,
  vdm: prepareVdm,
  vlm: prepareVlm,
  "vlm-ground": prepareVlmGround,
};

/** The tasks that also train models larger than memory, where `settings.blockwise` says so. */
const LARGE: readonly TaskName[] = ["vlm", "vdm", "joint-grpo-1", "joint-grpo-2"];

/** The function that makes a task ready. */
export function taskNamed(name: TaskName): PrepareTask {
  return (recipe, context) => {
    const isLarge = LARGE.includes(name) && recipe.settings["blockwise"] === true;
    return (isLarge ? prepareLarge : prepared[name])(recipe, context);
  };
}
