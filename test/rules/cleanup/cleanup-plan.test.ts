import { describe, expect, it } from "vitest";
import { planCleanup } from "../../../src/rules/cleanup/cleanup-plan.ts";
import type { Basis } from "../../../src/rules/model.ts";

const MIN = 60_000;

interface Case {
  readonly name: string;
  readonly basis: Basis;
  readonly hostMin: number;
  readonly spareMin?: number;
  readonly pauses?: boolean;
  /** Minutes until the sandbox is touched, and until a deferred deletion. */
  readonly expected: readonly [number, number | null];
}

const cases: readonly Case[] = [
  { name: "deletes after a proof at once", basis: "proof", hostMin: 0, expected: [0, null] },
  {
    name: "spares the sandbox of a presumption",
    basis: "presumption",
    hostMin: 0,
    expected: [5, null],
  },
  {
    name: "pauses after a proof at once, and deletes after the host's delay",
    basis: "proof",
    hostMin: 60,
    expected: [0, 60],
  },
  {
    name: "pauses after a presumption when it is not spared any more",
    basis: "presumption",
    hostMin: 60,
    expected: [5, 60],
  },
  {
    name: "lets a presumption wait for the longer delay, its own",
    basis: "presumption",
    hostMin: 4,
    expected: [5, 5],
  },
  {
    name: "lets a proof wait for the host's delay, however short",
    basis: "proof",
    hostMin: 1,
    expected: [0, 1],
  },
  {
    name: "pauses a presumption at once where none is spared",
    basis: "presumption",
    hostMin: 60,
    spareMin: 0,
    expected: [0, 60],
  },
  {
    name: "lets a proof wait as long where nothing can be paused",
    basis: "proof",
    hostMin: 60,
    pauses: false,
    expected: [60, null],
  },
  {
    name: "lets a presumption wait for the longer delay where nothing can be paused",
    basis: "presumption",
    hostMin: 4,
    pauses: false,
    expected: [5, null],
  },
];

describe("planCleanup", () => {
  for (const { name, basis, hostMin, spareMin = 5, pauses = true, expected } of cases) {
    it(name, () => {
      const delays = { cleanupDelayMs: spareMin * MIN, hostCleanupDelayMs: hostMin * MIN };
      const { cleanupInMs, deletionInMs } = planCleanup(basis, delays, pauses);
      const deletionMin = deletionInMs === null ? null : deletionInMs / MIN;
      expect([cleanupInMs / MIN, deletionMin]).toEqual(expected);
    });
  }
});
