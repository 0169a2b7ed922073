import { describe, expect, it, vi } from "vitest";
import type { Evidence } from "../../../src/rules/model.ts";
import { StoreUnavailableError } from "../../../src/watchdog/errors.ts";
import { HOLDER, reportOf, sweepWorld } from "../../support/stands/sweep-world.ts";

const EXITED: Evidence = { kind: "exited", exitCode: 1, stdout: "", stderr: "" };
const AWAY = new StoreUnavailableError("ECONNREFUSED");

describe("LeaderSweep that reaches its end", () => {
  it("reports what happened", async () => {
    const { db, clock, backend, lead } = sweepWorld();
    const [failed, running] = [db.add(), db.add()];
    backend.cleanupSays(failed.sandboxId ?? "", {
      kind: "failed",
      failure: "HTTP 503",
      retryAfterMs: null,
    });
    db.addVerdict();
    const answer = backend.holds(failed.id);
    const swept = lead({ trigger: "once" });
    await clock.advance(1500);
    answer.answer(EXITED);
    await clock.advance(0);
    expect(await swept).toEqual({
      kind: "swept",
      error: null,
      report: {
        version: 1,
        status: "ok",
        exitCode: 0,
        dryRun: false,
        trigger: "once",
        holder: "host-1/4711/ab12",
        epoch: 1,
        startedAt: "2026-01-01T00:00:00.000Z",
        finishedAt: "2026-01-01T00:00:01.500Z",
        durationMs: 1500,
        counts: {
          stale: 2,
          completed: 0,
          failed: 1,
          deferred: 1,
          suspected: 0,
          undetermined: 0,
          lostRace: 0,
          busy: 0,
          held: 0,
          skipped: 0,
          errors: 0,
        },
        waiting: {
          alive: 1,
          suspected: 0,
          held: 0,
          unanswered: 0,
          failing: 0,
          nextLookAt: "2026-01-01T00:00:45.000Z",
        },
        message: null,
        cleanups: { done: 1, pending: 1, abandoned: 0 },
        runs: [
          { runId: running.id, action: "deferred", basis: null, reason: "running", verifyMs: 0 },
          {
            runId: failed.id,
            action: "failed",
            basis: "proof",
            reason: "exit_code=1",
            verifyMs: 1500,
          },
        ],
        runsOmitted: 0,
      },
    });
  });

  it("leaves its report with the fleet, without the runs", async () => {
    const { db, lead } = sweepWorld();
    db.add();
    const { runs: _, ...summary } = reportOf(await lead());
    expect(db.leadership.lastReport).toEqual(summary);
    expect(db.leadership.sweepFinishedAtMs).toBe(db.nowMs());
  });

  for (const { name, request } of [
    { name: "named runs", request: { runIds: ["run-00001"] } },
    { name: "a limit", request: { limit: 10 } },
  ]) {
    it(`leaves the fleet's columns alone after a sweep with ${name}`, async () => {
      const { db, leadership, lead } = sweepWorld();
      db.add();
      const finish = vi.spyOn(leadership, "finish");
      const before = { ...db.leadership };
      expect(reportOf(await lead(request))).toMatchObject({ status: "ok", epoch: 1 });
      expect(finish).not.toHaveBeenCalled();
      const { sweepStartedAtMs, sweepFinishedAtMs, progressedAtMs, lastReport } = before;
      expect(db.leadership).toMatchObject({
        sweepStartedAtMs,
        sweepFinishedAtMs,
        progressedAtMs,
        lastReport,
      });
    });
  }

  it("tells who watches how it goes on", async () => {
    const { db, store, backend, journal, lead } = sweepWorld();
    const { id } = db.add({ timeoutAtMs: db.nowMs() - 5000 });
    const ended = countCalls(store, backend, journal);
    const watch = { onBegin: vi.fn(), onOutcome: vi.fn(), onProgress: vi.fn() };
    await lead({}, watch);
    const backlog = { count: 1, deferred: 0, held: 0, failing: 0, oldestOverdueMs: 5000 };
    expect(watch.onBegin.mock.calls).toEqual([[{ epoch: 1, backlog }]]);
    expect(watch.onOutcome.mock.calls).toMatchObject([[{ runId: id, action: "deferred" }]]);
    // Reads, the question, the deferral, the steps of maintenance, and what looks for work after verdicts.
    expect(ended().sort()).toEqual([
      "adoptLateSandboxes",
      "backlog",
      "claimCleanups",
      "claimCleanups",
      "closeOverturnedFirstRuns",
      "defer",
      "dropSuspicions",
      "guardFacts",
      "markOverturned",
      "openFirstRuns",
      "openFirstRuns",
      "pendingCleanups",
      "pendingCleanups",
      "prune",
      "read",
      "stalePage",
      "stalePage",
      "verify",
      "waiting",
    ]);
    expect(watch.onProgress).toHaveBeenCalledTimes(ended().length);
  });

  it("says in the journal what made it sweep, and who swept", async () => {
    const { db, backend, lead } = sweepWorld();
    backend.says(db.add().id, EXITED);
    await lead({ trigger: "once" });
    expect(db.verdicts).toMatchObject([{ trigger: "once", holder: HOLDER, epoch: 1 }]);
  });

  it("counts and tells of runs about which nobody was asked", async () => {
    const { db, backend, lead } = sweepWorld();
    const ids = [db.add().id, db.add().id];
    const throttle = { pausedForMs: 0, concurrency: null };
    backend.api = { throttle, breaker: "open", blockedReason: "the breaker is open", restore() {} };
    const told: string[] = [];
    const report = reportOf(await lead({}, { onOutcome: ({ runId }) => told.push(runId) }));
    expect(report).toMatchObject({ status: "partial", exitCode: 3 });
    expect(report.counts).toMatchObject({ stale: 2, skipped: 2 });
    expect(report.runs).toMatchObject(ids.map((runId) => ({ runId, action: "skipped" })));
    expect(told).toEqual(ids);
  });

  it("waits for a database that restarts when it reads", async () => {
    const { db, store, clock, lead } = sweepWorld();
    db.add();
    vi.spyOn(store, "backlog").mockRejectedValueOnce(AWAY).mockRejectedValueOnce(AWAY);
    vi.spyOn(store, "read").mockRejectedValueOnce(AWAY);
    const swept = lead();
    await clock.advance(1500);
    expect(reportOf(await swept).status).toBe("ok");
  });

  it("reports no pending deletions when they cannot be counted", async () => {
    const { journal, lead } = sweepWorld();
    vi.spyOn(journal, "pendingCleanups").mockRejectedValue(AWAY);
    expect(reportOf(await lead())).toMatchObject({ status: "ok", cleanups: { pending: 0 } });
  });
});

/** The names of the ports' methods that were called, as often as they were. */
function countCalls(...ports: readonly object[]): () => string[] {
  const made: string[] = [];
  for (const port of ports) {
    for (const name of Object.getOwnPropertyNames(Object.getPrototypeOf(port))) {
      const method: unknown = Reflect.get(port, name);
      if (name === "constructor" || typeof method !== "function") continue;
      const noted = (...args: readonly unknown[]) => {
        made.push(name);
        return Reflect.apply(method, port, args);
      };
      Object.assign(port, { [name]: noted });
    }
  }
  return () => [...made];
}
