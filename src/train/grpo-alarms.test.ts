/** Alarms: each rings for its own reason, once, and remembers across a restart. */
import { expect, it } from "vitest";
import { alarmSettingsSchema, GrpoAlarms } from "./grpo-alarms.ts";

const settings = alarmSettingsSchema.parse({ firstUpdates: 2, smoothing: 0 });
const fine = {
  entropy: 1,
  "completions/mean_length": 40,
  "completions/clipped_ratio": 0,
  frac_reward_zero_std: 0.2,
  kl: 0.01,
  reward: 1,
};

function watch(
  resumed?: Parameters<GrpoAlarms["state"]> extends [] ? ReturnType<GrpoAlarms["state"]> : never,
) {
  const warnings: string[] = [];
  const alarms = new GrpoAlarms({
    settings,
    klMost: 0.2,
    heldMetric: "videoEventAccuracy",
    resumed,
    warn: (message) => warnings.push(message),
  });
  return { alarms, warnings };
}

const rung = (scalars: Record<string, number>): string[] =>
  Object.keys(scalars).filter((name) => scalars[name] === 1);

it.each([
  ["entropy", { entropy: 0.2 }],
  ["length-drift", { "completions/mean_length": 61 }],
  ["length-drift", { "completions/mean_length": 19 }],
  ["length-saturated", { "completions/clipped_ratio": 0.3 }],
  ["reward-saturated", { frac_reward_zero_std: 1 }],
  ["kl", { kl: 0.3 }],
] as const)("%s rings for %o, and for nothing else", (name, change) => {
  const { alarms, warnings } = watch();
  for (const step of [1, 2, 3]) expect(rung(alarms.update(step, fine))).toEqual([]);
  expect(rung(alarms.update(4, { ...fine, ...change }))).toEqual([`alarm/${name}`]);
  alarms.update(5, { ...fine, ...change });
  expect(warnings).toHaveLength(1);
  expect(warnings[0]).toContain(`alarm/${name} at step 4`);
  // It stops, and warns again when it begins again.
  expect(rung(alarms.update(6, fine))).toEqual([]);
  alarms.update(7, { ...fine, ...change });
  expect(warnings).toHaveLength(2);
});

it("motion rings where held-out videos freeze or tremble", () => {
  const { alarms } = watch();
  expect(alarms.held(1, { motionShare: 0.9 })["alarm/motion"]).toBe(0);
  expect(alarms.held(2, { motionShare: 0.4 })["alarm/motion"]).toBe(1);
  expect(alarms.held(3, { motionShare: 2.5 })["alarm/motion"]).toBe(1);
  // An update says so too, until the next look.
  expect(alarms.update(4, fine)["alarm/motion"]).toBe(1);
});

it("reward-hacking rings where the reward rises and what it does not see falls", () => {
  const { alarms } = watch();
  alarms.update(1, fine);
  expect(alarms.held(1, { videoEventAccuracy: 0.8 })["alarm/reward-hacking"]).toBe(0);
  alarms.update(2, { ...fine, reward: 1.5 });
  expect(alarms.held(2, { videoEventAccuracy: 0.79 })["alarm/reward-hacking"]).toBe(0);
  expect(alarms.held(3, { videoEventAccuracy: 0.6 })["alarm/reward-hacking"]).toBe(1);
  // A fall without a rise is no hacking.
  alarms.update(4, { ...fine, reward: 0.9 });
  expect(alarms.held(4, { videoEventAccuracy: 0.6 })["alarm/reward-hacking"]).toBe(0);
});

it("goes on from a checkpoint as if it had not stopped", () => {
  const first = watch();
  for (const step of [1, 2, 3]) first.alarms.update(step, { ...fine, kl: 0.5 });
  first.alarms.held(3, { videoEventAccuracy: 0.7, motionShare: 1 });
  const second = watch(first.alarms.state());
  expect(second.alarms.state()).toEqual(first.alarms.state());
  for (const { alarms } of [first, second]) alarms.update(4, { ...fine, kl: 0.5, entropy: 0.01 });
  expect(second.alarms.state()).toEqual(first.alarms.state());
  // What rang before is not announced again.
  expect(second.warnings.map((message) => message.split(" ")[1])).toEqual(["alarm/entropy"]);
});
