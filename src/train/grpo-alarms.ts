/**
 * Alarms of policy training: signs of collapse in what an update or a look at held-out samples measured.
 *
 * Each alarm is a scalar, 1 while it rings, and a warning is printed when it begins to. What an alarm remembers is part of
 * the checkpoint, so a resumed run rings as one that was never stopped. Nothing here changes the training.
 * @module
 */
import { z } from "zod";
import { f32, type NdArray } from "../tensor/index.ts";

/** Thresholds. */
export const alarmSettingsSchema = z.strictObject({
  /** Updates at the start whose entropy and length later ones are compared with. */
  firstUpdates: z.int().positive().default(5),
  /** How much of its past a smoothed number keeps at each update. */
  smoothing: z.number().min(0).max(0.999).default(0.8),
  /** `entropy`: least share of the first updates' entropy. */
  entropyShare: z.number().min(0).default(0.25),
  /** `length-drift`: greatest relative difference to the first updates' mean length. */
  lengthDrift: z.number().positive().default(0.5),
  /** `length-saturated`: greatest share of responses that are cut off. */
  clippedRatio: z.number().min(0).max(1).default(0.2),
  /** `reward-saturated`: greatest share of groups without spread. */
  zeroStdShare: z.number().min(0).max(1).default(0.9),
  /** `kl`: greatest KL; default 0.2 nats a token, 0.01 an element for videos. */
  klMost: z.number().positive().optional(),
  /** `motion`: bounds of the drawn videos' motion energy as a share of the truth's. */
  motionLeast: z.number().min(0).default(0.5),
  motionMost: z.number().positive().default(2),
  /** `reward-hacking`: the held-out metric is so far below its best while the smoothed reward is so far above its then. */
  heldFall: z.number().positive().default(0.03),
  rewardRise: z.number().positive().default(0.01),
});
/** Checked thresholds. */
export type AlarmSettings = z.infer<typeof alarmSettingsSchema>;

/** All alarms, and what each one means. */
export const ALARMS = {
  entropy: "the policy hardly varies any more; raise the temperature or beta, or stop",
  "length-drift": "responses have become much longer or shorter than at the start",
  "length-saturated": "many responses are cut off at their greatest length",
  "reward-saturated": "nearly no group has spread in its rewards, so there is nothing to learn from",
  kl: "the policy is far from its reference; lower the learning rate or raise beta",
  motion: "held-out videos move far less or far more than the truth",
  "reward-hacking": "the reward rises while a held-out metric that it does not see falls",
} as const;
/** Name of an alarm. */
export type AlarmName = keyof typeof ALARMS;

/** Name of the scalar. */
export const alarmScalar = (name: AlarmName): string => `alarm/${name}`;

/** Numbers of an update that alarms look at. */
const WATCHED = {
  entropy: "entropy",
  length: "completions/mean_length",
  clipped: "completions/clipped_ratio",
  zeroStd: "frac_reward_zero_std",
  kl: "kl",
  reward: "reward",
} as const;
type Watched = keyof typeof WATCHED;
const WATCHED_NAMES = Object.keys(WATCHED) as readonly Watched[];
const ALARM_NAMES = Object.keys(ALARMS) as readonly AlarmName[];

/** Name under which a checkpoint holds what alarms remember. */
export const ALARM_STATE = "alarm:state";

/** How alarms are opened. */
export interface AlarmOptions {
  readonly settings: AlarmSettings;
  readonly klMost: number;
  /** Held-out metric for `reward-hacking`, the higher the better; no reward may be made of it. */
  readonly heldMetric: string;
  /** A checkpoint's state. */
  readonly resumed?: Readonly<Record<string, NdArray>> | undefined;
  /** Default: a line on the standard error stream. */
  readonly warn?: ((message: string) => void) | undefined;
}

interface Memory {
  /** Of each watched number: updates that had it, its mean over the first ones, its smoothed value. */
  readonly seen: Record<Watched, number>;
  readonly first: Record<Watched, number>;
  readonly smooth: Record<Watched, number>;
  readonly rings: Record<AlarmName, number>;
  heldLooks: number;
  heldBest: number;
  rewardThen: number;
}

const zeros = <Name extends string>(names: readonly Name[]): Record<Name, number> =>
  Object.fromEntries(names.map((name) => [name, 0])) as Record<Name, number>;

/** Watches over one run. */
export class GrpoAlarms {
  readonly #options: AlarmOptions;
  readonly #memory: Memory;

  constructor(options: AlarmOptions) {
    this.#options = options;
    this.#memory = {
      seen: zeros(WATCHED_NAMES),
      first: zeros(WATCHED_NAMES),
      smooth: zeros(WATCHED_NAMES),
      rings: zeros(ALARM_NAMES),
      heldLooks: 0,
      heldBest: 0,
      rewardThen: 0,
    };
    const kept = options.resumed?.[ALARM_STATE];
    if (kept) this.#restore(kept);
  }

  /** Looks at an update; returns all alarms. */
  update(step: number, metrics: Readonly<Record<string, number>>): Record<string, number> {
    const { settings, klMost } = this.#options;
    const { seen, first, smooth } = this.#memory;
    for (const name of WATCHED_NAMES) {
      const value = metrics[WATCHED[name]];
      if (value === undefined || !Number.isFinite(value)) continue;
      const before = seen[name];
      if (before < settings.firstUpdates)
        first[name] = Math.fround((first[name] * before + value) / (before + 1));
      smooth[name] = Math.fround(
        before === 0 ? value : settings.smoothing * smooth[name] + (1 - settings.smoothing) * value,
      );
      seen[name]++;
    }
    const isPast = (name: Watched): boolean => seen[name] > settings.firstUpdates;
    this.#set(step, "entropy", isPast("entropy") && smooth.entropy < settings.entropyShare * first.entropy);
    const drift = Math.abs(smooth.length - first.length);
    this.#set(step, "length-drift", isPast("length") && drift > settings.lengthDrift * first.length);
    this.#set(step, "length-saturated", smooth.clipped > settings.clippedRatio);
    this.#set(step, "reward-saturated", isPast("zeroStd") && smooth.zeroStd > settings.zeroStdShare);
    this.#set(step, "kl", smooth.kl > klMost);
    return this.#scalars();
  }

  /** Looks at held-out metrics; returns the alarms that depend on them. */
  held(step: number, metrics: Readonly<Record<string, number>>): Record<string, number> {
    const { settings, heldMetric } = this.#options;
    const memory = this.#memory;
    const share = metrics["motionShare"];
    if (share !== undefined)
      this.#set(step, "motion", share < settings.motionLeast || share > settings.motionMost);
    const value = metrics[heldMetric];
    if (value !== undefined) {
      const { reward } = memory.smooth;
      if (memory.heldLooks === 0 || value >= memory.heldBest) {
        memory.heldBest = Math.fround(value);
        memory.rewardThen = reward;
      }
      memory.heldLooks++;
      const hasFallen = value < memory.heldBest - settings.heldFall;
      this.#set(step, "reward-hacking", hasFallen && reward > memory.rewardThen + settings.rewardRise);
    }
    const all = this.#scalars();
    const own = (["motion", "reward-hacking"] as const).map(alarmScalar);
    return Object.fromEntries(own.map((name) => [name, all[name]!]));
  }

  /** What a checkpoint keeps. */
  state(): Record<string, NdArray> {
    const { seen, first, smooth, rings, heldLooks, heldBest, rewardThen } = this.#memory;
    const values = [
      ...WATCHED_NAMES.flatMap((name) => [seen[name], first[name], smooth[name]]),
      ...ALARM_NAMES.map((name) => rings[name]),
      heldLooks,
      heldBest,
      rewardThen,
    ];
    return { [ALARM_STATE]: f32(values) };
  }

  #restore({ data }: NdArray): void {
    const memory = this.#memory;
    let at = 0;
    const next = (): number => Number(data[at++] ?? 0);
    for (const name of WATCHED_NAMES) {
      memory.seen[name] = next();
      memory.first[name] = next();
      memory.smooth[name] = next();
    }
    for (const name of ALARM_NAMES) memory.rings[name] = next();
    memory.heldLooks = next();
    memory.heldBest = next();
    memory.rewardThen = next();
  }

  #set(step: number, name: AlarmName, rings: boolean): void {
    const before = this.#memory.rings[name];
    this.#memory.rings[name] = rings ? 1 : 0;
    if (!rings || before === 1) return;
    const warn = this.#options.warn ?? ((message: string) => void process.stderr.write(`${message}\n`));
    warn(`warning: ${alarmScalar(name)} at step ${step}: ${ALARMS[name]}`);
  }

  #scalars(): Record<string, number> {
    return Object.fromEntries(ALARM_NAMES.map((name) => [alarmScalar(name), this.#memory.rings[name]]));
  }
}
