import { describe, expect, it, vi } from "vitest";
import { maintain } from "../../../src/watchdog/cleanup/maintenance.ts";
import { FencedError, StoreUnavailableError } from "../../../src/watchdog/errors.ts";
import type { OverturnedVerdict } from "../../../src/watchdog/journal-ports.ts";
import { type Logged, recordTo } from "../../support/stands/sweep-world.ts";

const STEPS = [
  "adoptLateSandboxes",
  "adoptOverdueStamps",
  "closeOverturnedFirstRuns",
  "markOverturned",
  "dropSuspicions",
  "forgetWorkers",
  "prune",
] as const;
const FENCE = { shard: 0, epoch: 7, check() {} };
const STOP = new Error("stopping");

describe("maintain", () => {
  it("does each step once, with its limits", async () => {
    const { run, adoptLateSandboxes, adoptOverdueStamps, lines, ...others } = setup();
    const { closeOverturnedFirstRuns, markOverturned, dropSuspicions } = others;
    const { forgetWorkers, prune } = others;
    await run();
    const plan = { cleanupInMs: 300_000, deletionInMs: 3_600_000 };
    expect(adoptLateSandboxes.mock.calls).toEqual([[plan, FENCE]]);
    expect(adoptOverdueStamps.mock.calls).toEqual([[1000, FENCE]]);
    expect(closeOverturnedFirstRuns.mock.calls).toEqual([[FENCE]]);
    expect(markOverturned.mock.calls).toEqual([[7 * 86_400_000, 1000, FENCE]]);
    expect(dropSuspicions.mock.calls).toEqual([[FENCE]]);
    expect(forgetWorkers.mock.calls).toEqual([[86_400_000, FENCE]]);
    expect(prune.mock.calls).toEqual([[90_000, 1000, FENCE]]);
    expect(lines).toEqual([]);
  });

  it("schedules no deletion with a backend that cannot delete", async () => {
    const { run, steps } = setup({ cleans: false });
    await run();
    expect(steps).toEqual([
      "closeOverturnedFirstRuns",
      "markOverturned",
      "dropSuspicions",
      "forgetWorkers",
      "prune",
    ]);
  });

  it("lets a backend that cannot pause wait as long, and takes nothing over from the host", async () => {
    const { run, steps, adoptLateSandboxes } = setup({ pauses: false });
    await run();
    expect(steps).not.toContain("adoptOverdueStamps");
    const plan = { cleanupInMs: 3_600_000, deletionInMs: null };
    expect(adoptLateSandboxes.mock.calls).toEqual([[plan, FENCE]]);
  });

  it("says what it has changed", async () => {
    const { run, lines } = setup({ adopted: 2, overdue: 4, removed: [1000, 3] });
    await run();
    expect(lines).toEqual([
      {
        level: "info",
        message: "sandboxes that were named late will be deleted",
        fields: { count: 2 },
      },
      {
        level: "info",
        message: "sandboxes that the host did not delete will be deleted",
        fields: { count: 4 },
      },
      {
        level: "info",
        message: "old verdicts were removed from the journal",
        fields: { count: 1003 },
      },
    ]);
  });

  it("tells of runs that another watchdog ended, and of none when there was none", async () => {
    const { run, lines, onEndedElsewhere } = setup({ endedElsewhere: 3 });
    await run();
    expect(onEndedElsewhere.mock.calls).toEqual([[3]]);
    expect(lines).toEqual([
      {
        level: "warn",
        message: "another watchdog ends runs",
        fields: {
          count: 3,
          remedy: "let it look seldom: AUTOMATION_WATCHDOG_INTERVAL_SECONDS=3600 for the host",
        },
      },
    ]);
    const quiet = setup();
    await quiet.run();
    expect(quiet.onEndedElsewhere).not.toHaveBeenCalled();
  });

  it("tells of presumptions that turned out wrong, and of none when there was none", async () => {
    const deleted = anOverturned({ sandboxDeleted: true });
    const other = { runId: "run-2", laterMs: null, sandboxDeleted: null, statusNow: "CANCELLED" };
    const { run, lines, onOverturned } = setup({ overturned: [deleted, anOverturned(other)] });
    await run();
    expect(onOverturned.mock.calls).toEqual([[2]]);
    const fields = {
      runId: "run-1",
      automationId: "automation-1",
      outcome: "FAILED",
      basis: "presumption",
      reason: "sandbox missing",
      decidedAt: "2026-08-22T10:00:00.123Z",
      statusNow: "COMPLETED",
      laterSeconds: 95,
      sandbox: "deleted",
    };
    const changed = { runId: "run-2", statusNow: "CANCELLED", laterSeconds: null, sandbox: "none" };
    const message = "runs that were presumed dead have another end by now";
    expect(lines).toEqual([
      { level: "info", message: "run overturned", fields },
      { level: "info", message: "run overturned", fields: { ...fields, ...changed } },
      { level: "info", message, fields: { count: 2 } },
    ]);
    const quiet = setup();
    await quiet.run();
    expect(quiet.onOverturned).not.toHaveBeenCalled();
  });

  it("says that a sandbox is left alone that has not been deleted when its run is overturned", async () => {
    const { run, lines } = setup({ overturned: [anOverturned({ sandboxDeleted: false })] });
    await run();
    expect(lines[0]?.fields).toMatchObject({ runId: "run-1", sandbox: "left alone" });
  });

  for (const [count, said] of [
    [100, { count: 100 }],
    [101, { count: 101, unnamed: 1 }],
  ] as const) {
    it(`names at most 100 of ${count} runs that are overturned, and counts all`, async () => {
      const overturned = Array.from({ length: count }, (_, index) =>
        anOverturned({ runId: `run-${index}` }),
      );
      const { run, lines, onOverturned } = setup({ overturned });
      await run();
      expect(lines.filter(({ message }) => message === "run overturned")).toHaveLength(100);
      expect(lines.at(-1)?.fields).toEqual(said);
      expect(onOverturned.mock.calls).toEqual([[count]]);
    });
  }

  it("prunes on after full batches, and no more after one that is not", async () => {
    const { run, prune } = setup({ removed: [1000, 1000, 999, 1000] });
    await run();
    expect(prune).toHaveBeenCalledTimes(3);
  });

  it("prunes ten batches at most", async () => {
    const { run, prune } = setup({ removed: Array(11).fill(1000) });
    await run();
    expect(prune).toHaveBeenCalledTimes(10);
  });

  for (const [index, step] of STEPS.entries()) {
    it(`goes on with the others when ${step} fails`, async () => {
      const err = new Error("SQLSTATE 23514");
      const { run, steps, lines } = setup({ during: throwing(step, err) });
      await run();
      expect(steps).toEqual(STEPS);
      expect(lines).toMatchObject([
        { level: "warn", message: "maintenance failed", fields: { err } },
      ]);
    });

    for (const error of [new StoreUnavailableError("away"), new FencedError("a newer epoch")]) {
      it(`ends with ${error.name} in ${step}, as the whole sweep does`, async () => {
        const { run, steps, lines } = setup({ during: throwing(step, error) });
        await expect(run()).rejects.toBe(error);
        expect(steps).toEqual(STEPS.slice(0, index + 1));
        expect(lines).toEqual([]);
      });
    }

    it(`begins nothing more when it is stopped during ${step}`, async () => {
      const stop = new AbortController();
      const during = (current: Step) => {
        if (current === step) stop.abort(STOP);
      };
      const { run, steps } = setup({ during, removed: [1000, 1000] });
      await expect(run(stop.signal)).rejects.toBe(STOP);
      expect(steps).toEqual(STEPS.slice(0, index + 1));
    });
  }

  it("begins nothing when it was stopped before", async () => {
    const { run, steps } = setup();
    await expect(run(AbortSignal.abort(STOP))).rejects.toBe(STOP);
    expect(steps).toEqual([]);
  });
});

type Step = (typeof STEPS)[number];

interface Script {
  readonly cleans?: boolean;
  readonly pauses?: boolean;
  readonly adopted?: number;
  readonly overdue?: number;
  readonly endedElsewhere?: number;
  readonly overturned?: readonly OverturnedVerdict[];
  /** By each batch; none after the last of them. */
  readonly removed?: readonly number[];
  /** Happens while the step's statement is under way. */
  readonly during?: (step: Step) => void;
}

function setup(script: Script = {}) {
  const { cleans = true, pauses = true, adopted = 0, overdue = 0, endedElsewhere = 0 } = script;
  const { overturned = [], removed = [], during = () => {} } = script;
  const steps: Step[] = [];
  const begin = (step: Step) => {
    steps.push(step);
    during(step);
  };
  const batches = [...removed];
  const doubles = {
    adoptLateSandboxes: vi.fn(async () => {
      begin("adoptLateSandboxes");
      return adopted;
    }),
    adoptOverdueStamps: vi.fn(async () => {
      begin("adoptOverdueStamps");
      return overdue;
    }),
    closeOverturnedFirstRuns: vi.fn(async () => {
      begin("closeOverturnedFirstRuns");
      return 0;
    }),
    markOverturned: vi.fn(async () => {
      begin("markOverturned");
      return overturned;
    }),
    dropSuspicions: vi.fn(async () => {
      begin("dropSuspicions");
      return endedElsewhere;
    }),
    forgetWorkers: vi.fn(async () => {
      begin("forgetWorkers");
      return 0;
    }),
    prune: vi.fn(async () => {
      begin("prune");
      return batches.shift() ?? 0;
    }),
    onEndedElsewhere: vi.fn(),
    onOverturned: vi.fn(),
  };
  const lines: Logged[] = [];
  const deps = {
    journal: doubles,
    store: doubles,
    fleet: doubles,
    backend: { cleans, ...(pauses ? { pause: async () => ({ kind: "paused" }) as const } : {}) },
    log: recordTo(lines),
    onEndedElsewhere: doubles.onEndedElsewhere,
    onOverturned: doubles.onOverturned,
  };
  const options = {
    cleanupDelayMs: 300_000,
    hostCleanupDelayMs: 3_600_000,
    journalRetentionMs: 90_000,
  };
  const run = (signal = new AbortController().signal) => maintain(deps, options, FENCE, signal);
  return { ...doubles, run, steps, lines };
}

function throwing(step: Step, error: Error): (current: Step) => void {
  return (current) => {
    if (current === step) throw error;
  };
}

function anOverturned(changes: Partial<OverturnedVerdict> = {}): OverturnedVerdict {
  return {
    runId: "run-1",
    automationId: "automation-1",
    outcome: "FAILED",
    reason: "sandbox missing",
    decidedAt: "2026-08-22T10:00:00.123Z",
    statusNow: "COMPLETED",
    laterMs: 95_400,
    sandboxDeleted: null,
    ...changes,
  };
}
