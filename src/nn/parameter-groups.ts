/**
 * Which parameters an optimizer moves together: many small tensors joined into few, because a node costs the runtime
 * some microseconds whatever its size.
 * @module
 */
import { concat, f32, type NdArray, sizeOf, split, type Tensor } from "../tensor/index.ts";
import type { OptimizerOptions } from "./optimizer.ts";

/** Parameters that one set of optimizer nodes moves; of one member where nothing fits beside it. */
export interface ParameterGroup {
  /** The name of the only member, or one of the group's own. */
  readonly name: string;
  readonly members: readonly string[];
  readonly rules: OptimizerOptions;
}

/** Larger tensors gain nothing: their passes take longer than starting them. */
const LARGEST_MEMBER = 65_536;
/** A joined tensor and the moments beside it stay in the cache of a core from one pass to the next. */
const LARGEST_GROUP = 131_072;

/**
 * Joins small AdamW parameters of equal options and equal trailing axes, in the order in which they come.
 * @param join false: every parameter by itself (devices on which a node is cheap)
 */
export function parameterGroups(
  params: ReadonlyMap<string, Tensor>,
  rulesOf: (name: string, tensor: Tensor) => OptimizerOptions,
  join: boolean,
): ParameterGroup[] {
  const groups: { members: string[]; rules: OptimizerOptions; size: number }[] = [];
  const open = new Map<string, (typeof groups)[number]>();
  for (const [name, tensor] of params) {
    const rules = rulesOf(name, tensor);
    const size = sizeOf(tensor.shape);
    const fits = join && rules.kind === "adamw" && tensor.rank > 0 && size <= LARGEST_MEMBER;
    const key = JSON.stringify([rules, tensor.shape.slice(1)]);
    const before = fits ? open.get(key) : undefined;
    if (before && before.size + size <= LARGEST_GROUP) {
      before.members.push(name);
      before.size += size;
      continue;
    }
    const group = { members: [name], rules, size };
    groups.push(group);
    if (fits) open.set(key, group);
  }
  return groups.map(({ members, rules }, i) => ({
    name: members.length === 1 ? members[0]! : `group:${i}`,
    members,
    rules,
  }));
}

/** The members' tensors as one. A scalar has no axis to be joined along; it is always by itself. */
export const joined = (parts: readonly Tensor[]): Tensor =>
  parts.length === 1 ? parts[0]! : concat(parts, 0);

/** A joined tensor as the members' own. */
export const parted = (whole: Tensor, like: readonly Tensor[]): Tensor[] =>
  like.length === 1
    ? [whole]
    : split(
        whole,
        0,
        like.map((tensor) => tensor.size(0)),
      );

/** The members' arrays as one (a copy). */
export function joinedArray(parts: readonly NdArray[]): NdArray {
  if (parts.length === 1) return parts[0]!;
  const rows = parts.reduce((sum, part) => sum + part.shape[0]!, 0);
  const data = new Float32Array(parts.reduce((sum, part) => sum + part.data.length, 0));
  let at = 0;
  for (const part of parts) {
    data.set(part.data as Float32Array, at);
    at += part.data.length;
  }
  return f32(data, [rows, ...parts[0]!.shape.slice(1)]);
}

/** A joined array as the members' own (copies). */
export function partedArray(whole: NdArray, like: readonly Tensor[]): NdArray[] {
  let at = 0;
  return like.map(({ shape }) => {
    const start = at;
    at += sizeOf(shape);
    return f32((whole.data as Float32Array).slice(start, at), shape);
  });
}
