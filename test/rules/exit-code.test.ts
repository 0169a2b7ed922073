import { describe, expect, it } from "vitest";
import { resultOf, type SweepEnd } from "../../src/rules/exit-code.ts";
import type { SweepCounts, SweepStatus } from "../../src/rules/report.ts";

const NOTHING: SweepCounts = {
  stale: 0,
  completed: 0,
  failed: 0,
  deferred: 0,
  suspected: 0,
  undetermined: 0,
  lostRace: 0,
  busy: 0,
  held: 0,
  skipped: 0,
  errors: 0,
};

interface Case {
  readonly name: string;
  readonly end?: SweepEnd;
  readonly counts?: Partial<SweepCounts>;
  readonly exitCode: number;
  readonly status: SweepStatus;
}

const BAD_COUNTS = { errors: 1, held: 1, undetermined: 1 };

const FINISHED: readonly Case[] = [
  { name: "is ok when nothing was stale", exitCode: 0, status: "ok" },
  {
    name: "is ok when something was done",
    counts: { completed: 1, failed: 1 },
    exitCode: 0,
    status: "ok",
  },
  {
    name: "is ok when runs were only deferred",
    counts: { deferred: 2 },
    exitCode: 0,
    status: "ok",
  },
  {
    name: "is ok when others were faster everywhere",
    counts: { lostRace: 1, busy: 1, skipped: 1 },
    exitCode: 0,
    status: "ok",
  },
  {
    name: "is partial when one of many runs ended as error",
    counts: { completed: 9, errors: 1 },
    exitCode: 3,
    status: "partial",
  },
  {
    name: "is partial when the only run asked got no authoritative answer",
    counts: { undetermined: 1 },
    exitCode: 3,
    status: "partial",
  },
  {
    name: "is partial when nobody answered and others were only skipped",
    counts: { undetermined: 3, skipped: 2 },
    exitCode: 3,
    status: "partial",
  },
  ...(["completed", "failed", "deferred", "suspected"] as const).map(
    (answered): Case => ({
      name: `is ok when one of many undetermined runs was ${answered}`,
      counts: { undetermined: 9, [answered]: 1 },
      exitCode: 0,
      status: "ok",
    }),
  ),
  {
    name: "is held when the guard held a verdict",
    counts: { held: 1 },
    exitCode: 4,
    status: "held",
  },
  {
    name: "puts held before partial",
    counts: BAD_COUNTS,
    exitCode: 4,
    status: "held",
  },
];

const UNFINISHED: readonly Case[] = [
  {
    name: "is an error when the sweep failed, whatever its runs",
    end: { kind: "failed" },
    exitCode: 1,
    status: "error",
  },
  {
    name: "tells SIGTERM, whatever its runs",
    end: { kind: "interrupted", signal: "SIGTERM" },
    exitCode: 143,
    status: "interrupted",
  },
  {
    name: "tells SIGINT, whatever its runs",
    end: { kind: "interrupted", signal: "SIGINT" },
    exitCode: 130,
    status: "interrupted",
  },
  {
    name: "tells that somebody else holds the lease",
    end: { kind: "lease-held" },
    exitCode: 75,
    status: "lease-held",
  },
  {
    name: "tells that a store is unavailable",
    end: { kind: "unavailable" },
    exitCode: 69,
    status: "unavailable",
  },
];

describe("resultOf", () => {
  for (const { name, counts, exitCode, status } of FINISHED) {
    it(name, () => {
      expect(resultOf({ kind: "finished" }, { ...NOTHING, ...counts })).toEqual({
        status,
        exitCode,
      });
    });
  }

  for (const { name, end = { kind: "finished" }, exitCode, status } of UNFINISHED) {
    it(name, () => {
      expect(resultOf(end, NOTHING)).toEqual({ status, exitCode });
      expect(resultOf(end, { ...NOTHING, ...BAD_COUNTS })).toEqual({ status, exitCode });
    });
  }
});
