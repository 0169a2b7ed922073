import { describe, expect, it } from "vitest";
import { exitCodeUntold, resultOf, type SweepEnd } from "../../src/rules/exit-code.ts";
import type { SweepCounts, SweepStatus } from "../../src/rules/report.ts";
import { NO_COUNTS } from "../report/a-report.ts";

interface Case {
  readonly name: string;
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

const UNFINISHED: readonly (Case & { readonly end: SweepEnd })[] = [
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
      expect(resultOf({ kind: "finished" }, { ...NO_COUNTS, ...counts }, 0)).toEqual({
        status,
        exitCode,
      });
    });
  }

  it("is partial when one run was left because nobody could be asked about it", () => {
    const counts = { ...NO_COUNTS, completed: 9, skipped: 1 };
    const partial = { status: "partial", exitCode: 3 };
    expect(resultOf({ kind: "finished" }, counts, 1)).toEqual(partial);
  });

  it("is ok when the only skipped runs need nothing", () => {
    const counts = { ...NO_COUNTS, completed: 9, skipped: 1 };
    expect(resultOf({ kind: "finished" }, counts, 0)).toEqual({ status: "ok", exitCode: 0 });
  });

  const answers = ["completed", "failed", "deferred", "suspected"] as const;
  for (const [index, answer] of answers.entries()) {
    for (const other of answers.slice(index)) {
      it(`is ok where some runs gave no answer and others were ${answer} and ${other}`, () => {
        const counts = { ...NO_COUNTS, undetermined: 3, [answer]: 1, [other]: 1 };
        expect(resultOf({ kind: "finished" }, counts, 0)).toEqual({ status: "ok", exitCode: 0 });
      });
    }
  }

  it("says that verdicts are held rather than that runs were not asked about", () => {
    const counts = { ...NO_COUNTS, held: 1, skipped: 1, errors: 1 };
    expect(resultOf({ kind: "finished" }, counts, 1)).toEqual({ status: "held", exitCode: 4 });
  });

  for (const { name, end, exitCode, status } of UNFINISHED) {
    it(name, () => {
      expect(resultOf(end, NO_COUNTS, 0)).toEqual({ status, exitCode });
      expect(resultOf(end, { ...NO_COUNTS, ...BAD_COUNTS }, 1)).toEqual({ status, exitCode });
    });
  }
});

describe("exitCodeUntold", () => {
  for (const exitCode of [0, 3, 4]) {
    it(`is 1 instead of ${exitCode}`, () => expect(exitCodeUntold(exitCode)).toBe(1));
  }

  for (const exitCode of [1, 2, 69, 75, 130, 143]) {
    it(`leaves ${exitCode}, which holds first`, () =>
      expect(exitCodeUntold(exitCode)).toBe(exitCode));
  }
});
