/**
 * The layers of I3D (inflated Inception-v1, Carreira & Zisserman, arXiv 1705.07750) as data, so that reduced networks
 * are the same code.
 * @module
 */

/** One number an axis: time, rows, columns. */
export type Triple = readonly [time: number, rows: number, columns: number];

/** A convolution with batch norm and ReLU. */
export interface I3dUnitStage {
  readonly kind: "unit";
  /** Its endpoint, which is its name in the checkpoint. */
  readonly name: string;
  readonly channels: number;
  readonly kernel: Triple;
  readonly stride: Triple;
}

/** A maximum over windows. */
export interface I3dPoolStage {
  readonly kind: "pool";
  readonly name: string;
  readonly kernel: Triple;
  readonly stride: Triple;
}

/** Channels of an Inception block: 1×1 → a; 1×1 → b, 3³ → c; 1×1 → d, 3³ → e; pool, 1×1 → f. */
export type MixedChannels = readonly [a: number, b: number, c: number, d: number, e: number, f: number];

/** An Inception block: four branches side by side. */
export interface I3dMixedStage {
  readonly kind: "mixed";
  readonly name: string;
  readonly channels: MixedChannels;
}

export type I3dStage = I3dUnitStage | I3dPoolStage | I3dMixedStage;

/** The whole network. */
export interface I3dConfig {
  readonly stages: readonly I3dStage[];
  /** Window of the average before the classifier. */
  readonly averageKernel: Triple;
  readonly classCount: number;
  /** Of the batch norms: 1e-3 in pytorch-i3d and its weights, 1e-5 in VideoGPT's copy. Belongs to the weights. */
  readonly epsilon: number;
}

/** A convolution stage. */
export function unitStage(name: string, channels: number, kernel: number, stride = 1): I3dUnitStage {
  return {
    kind: "unit",
    name,
    channels,
    kernel: [kernel, kernel, kernel],
    stride: [stride, stride, stride],
  };
}

/** A pooling stage. */
export function poolStage(name: string, kernel: Triple, stride: Triple): I3dPoolStage {
  return { kind: "pool", name, kernel, stride };
}

/** An Inception stage. */
export function mixedStage(name: string, channels: MixedChannels): I3dMixedStage {
  return { kind: "mixed", name, channels };
}

/** RGB I3D with 400 Kinetics classes; layer names and sizes of piergiaj/pytorch-i3d. */
export const I3D_RGB_400: I3dConfig = {
  stages: [
    unitStage("Conv3d_1a_7x7", 64, 7, 2),
    poolStage("MaxPool3d_2a_3x3", [1, 3, 3], [1, 2, 2]),
    unitStage("Conv3d_2b_1x1", 64, 1),
    unitStage("Conv3d_2c_3x3", 192, 3),
    poolStage("MaxPool3d_3a_3x3", [1, 3, 3], [1, 2, 2]),
    mixedStage("Mixed_3b", [64, 96, 128, 16, 32, 32]),
    mixedStage("Mixed_3c", [128, 128, 192, 32, 96, 64]),
    poolStage("MaxPool3d_4a_3x3", [3, 3, 3], [2, 2, 2]),
    mixedStage("Mixed_4b", [192, 96, 208, 16, 48, 64]),
    mixedStage("Mixed_4c", [160, 112, 224, 24, 64, 64]),
    mixedStage("Mixed_4d", [128, 128, 256, 24, 64, 64]),
    mixedStage("Mixed_4e", [112, 144, 288, 32, 64, 64]),
    mixedStage("Mixed_4f", [256, 160, 320, 32, 128, 128]),
    poolStage("MaxPool3d_5a_2x2", [2, 2, 2], [2, 2, 2]),
    mixedStage("Mixed_5b", [256, 160, 320, 32, 128, 128]),
    mixedStage("Mixed_5c", [384, 192, 384, 48, 128, 128]),
  ],
  averageKernel: [2, 7, 7],
  classCount: 400,
  epsilon: 1e-3,
};
