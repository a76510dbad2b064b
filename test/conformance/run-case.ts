/**
 * Judges one folder: finds the handler by what the case holds, runs it, and counts what nothing looked at.
 * @module
 */
import { type Check, GoldenCase, passes } from "./case.ts";
import { handlers } from "./handlers.ts";

/** What became of a case. */
export interface CaseResult {
  readonly status: "passed" | "failed" | "unknown";
  /** The kind of case. */
  readonly title: string;
  readonly checks: readonly Check[];
  readonly failures: readonly string[];
}

/** The check whose error is the largest share of its tolerance. */
export function tightest(checks: readonly Check[]): Check | undefined {
  const share = (check: Check): number =>
    check.tolerance === 0
      ? check.maxError === 0
        ? 0
        : Number.POSITIVE_INFINITY
      : check.maxError / check.tolerance;
  return [...checks].sort((a, b) => share(b) - share(a))[0];
}

/** Runs the case in a folder. */
export async function runCase(folder: string): Promise<CaseResult> {
  const golden = await GoldenCase.open(folder);
  const known = handlers.filter((handler) => handler.recognises(golden));
  if (known.length === 0)
    return {
      status: "unknown",
      title: "unknown",
      checks: [],
      failures: ["no handler recognises its fields"],
    };
  const checks: Check[] = [];
  const failures: string[] = [];
  for (const handler of known) {
    try {
      checks.push(...(await handler.run(golden)));
    } catch (error) {
      failures.push(
        `${handler.title}: ${error instanceof Error ? error.message.split("\n")[0] : String(error)}`,
      );
    }
  }
  for (const check of checks)
    if (!passes(check))
      failures.push(`${check.name}: error ${check.maxError.toExponential(2)}, tolerance ${check.tolerance}`);
  for (const name of golden.unused()) failures.push(`unused tensor ${name}`);
  if (checks.length === 0) failures.push("nothing was compared");
  return {
    status: failures.length === 0 ? "passed" : "failed",
    title: known.map((handler) => handler.title).join(", "),
    checks,
    failures,
  };
}
