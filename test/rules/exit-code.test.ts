import { describe, expect, it } from "vitest";
import { exitCodeUntold, resultOf, type SweepEnd } from "../../src/rules/exit-code.ts";
import type { SweepStatus, Waiting } from "../../src/rules/report.ts";

type Waits = Pick<Waiting, "held" | "unanswered" | "failing">;

interface Case {
  readonly name: string;
  readonly waiting?: Partial<Waits>;
  readonly exitCode: number;
  readonly status: SweepStatus;
}

const NOTHING: Waits = { held: 0, unanswered: 0, failing: 0 };
const EVERYTHING: Waits = { held: 1, unanswered: 1, failing: 1 };

const FINISHED: readonly Case[] = [
  { name: "is ok when nothing keeps a run from being judged", exitCode: 0, status: "ok" },
  {
    name: "is partial from the first run that could not be handled",
    waiting: { failing: 1 },
    exitCode: 3,
    status: "partial",
  },
  {
    name: "is partial from the first run without an answer",
    waiting: { unanswered: 1 },
    exitCode: 3,
    status: "partial",
  },
  {
    name: "is held from the first verdict that the guard holds",
    waiting: { held: 1 },
    exitCode: 4,
    status: "held",
  },
  { name: "puts held before partial", waiting: EVERYTHING, exitCode: 4, status: "held" },
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
    name: "tells that a person has paused all workers",
    end: {
      kind: "paused",
      pause: { until: "2026-01-01T02:00:00Z", reason: "moving", by: "ann", leftMs: 1 },
    },
    exitCode: 75,
    status: "paused",
  },
  {
    name: "tells that a store is unavailable",
    end: { kind: "unavailable" },
    exitCode: 69,
    status: "unavailable",
  },
];

describe("resultOf", () => {
  for (const { name, waiting, exitCode, status } of FINISHED) {
    it(name, () => {
      const result = resultOf({ kind: "finished" }, { ...NOTHING, ...waiting }, 0);
      expect(result).toEqual({ status, exitCode });
    });
  }

  it("is partial when one run was left because nobody could be asked about it", () => {
    const partial = { status: "partial", exitCode: 3 };
    expect(resultOf({ kind: "finished" }, NOTHING, 1)).toEqual(partial);
  });

  it("says that verdicts are held rather than that runs were not asked about", () => {
    const held = { status: "held", exitCode: 4 };
    expect(resultOf({ kind: "finished" }, EVERYTHING, 1)).toEqual(held);
  });

  for (const { name, end, exitCode, status } of UNFINISHED) {
    it(name, () => {
      expect(resultOf(end, NOTHING, 0)).toEqual({ status, exitCode });
      expect(resultOf(end, EVERYTHING, 1)).toEqual({ status, exitCode });
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
