/** Training: recipes, the loop, one file a task. @module */
export { parseRecipe, type Recipe, readRecipe, TASKS, type TaskName } from "./recipe.ts";
export { averagedWeights, type RunOptions, readCheckpoint, runTraining, type TrainEvent } from "./run.ts";
export type { PrepareTask, TaskContext, TrainTask } from "./task.ts";
export { taskNamed } from "./tasks.ts";
