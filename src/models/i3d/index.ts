/** I3D: features of clips for the Fréchet video distance. @module */
// Configuration
export {
  I3D_RGB_400,
  type I3dConfig,
  type I3dMixedStage,
  type I3dPoolStage,
  type I3dStage,
  type I3dUnitStage,
  type MixedChannels,
  mixedStage,
  poolStage,
  type Triple,
  unitStage,
} from "./config.ts";
// First values
export { i3dParameters, initI3d } from "./init.ts";
// The model
export { type I3dOptions, type I3dOutputs, i3d } from "./network.ts";
// Inputs
export { type I3dFit, type I3dPixelOptions, i3dPixels } from "./pixels.ts";
export { I3dRunner, type I3dTap } from "./runner.ts";
