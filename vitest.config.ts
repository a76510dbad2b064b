import { defineConfig } from "vitest/config";

// vitest 5 reports failures with Map.groupBy, which Node 20 lacks.
Map.groupBy ??= function groupBy<K, V>(
  items: Iterable<V>,
  keyOf: (item: V, index: number) => K,
): Map<K, V[]> {
  const groups = new Map<K, V[]>();
  let index = 0;
  for (const item of items) {
    const key = keyOf(item, index++);
    groups.set(key, [...(groups.get(key) ?? []), item]);
  }
  return groups;
};

/**
 * Three projects: `fast` (what `npm test` runs, under 10 minutes on 2 cores), `slow` (files named `*.slow.test.ts`, which
 * `npm run test:full` adds), and `alone` (`*.alone.test.ts`, likewise): those begin when all others are over, because they
 * watch how long something takes to answer.
 */
export default defineConfig({
  test: {
    setupFiles: [new URL("./test/setup.ts", import.meta.url).pathname],
    testTimeout: 120_000,
    hookTimeout: 120_000,
    // Instead of one second: on a busy machine pages take longer to draw.
    expect: { poll: { timeout: 60_000 } },
    // ONNX Runtime sessions keep native threads; separate processes keep tests independent.
    pool: "forks",
    maxWorkers: 2,
    projects: [
      {
        extends: true,
        test: {
          name: "fast",
          include: ["src/**/*.test.ts", "test/**/*.test.ts"],
          exclude: ["**/*.slow.test.ts", "**/*.alone.test.ts", "**/node_modules/**"],
        },
      },
      {
        extends: true,
        test: {
          name: "slow",
          include: ["src/**/*.slow.test.ts", "test/**/*.slow.test.ts"],
          testTimeout: 1_200_000,
        },
      },
      {
        extends: true,
        test: {
          name: "alone",
          include: ["src/**/*.alone.test.ts", "test/**/*.alone.test.ts"],
          testTimeout: 1_200_000,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
