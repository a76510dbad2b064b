/** Training: recipes, the loop, one file a task. @module */

export * from "./advantages.ts";
export * from "./flow-matching-loss.ts";
export * from "./flow-policy-loss.ts";
export * from "./flow-rollout.ts";
export * from "./flow-sde.ts";
export { parseRecipe, type Recipe, readRecipe, TASKS, type TaskName } from "./recipe.ts";
export { averagedWeights, type RunOptions, readCheckpoint, runTraining, type TrainEvent } from "./run.ts";
export type { PrepareTask, TaskContext, TrainTask } from "./task.ts";
export { taskNamed } from "./tasks.ts";
export * from "./token-policy-loss.ts";
