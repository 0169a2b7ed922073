import { describe, expect, it, vi } from "vitest";
import type { Evidence } from "../../../src/rules/model.ts";
import { observation } from "../../../src/rules/suspicion.ts";
import { StopRequestedError, StoreUnavailableError } from "../../../src/watchdog/errors.ts";
import { dryRunSweep, dryStore } from "../../../src/watchdog/lead/dry-run.ts";
import { settle } from "../../support/memory/fake-clock.ts";
import {
  OPTIONS,
  openFence,
  REQUEST,
  reportOf,
  sweepWorld,
} from "../../support/stands/sweep-world.ts";

const AWAY = new StoreUnavailableError("ECONNREFUSED");

const EVIDENCE: readonly Evidence[] = [
  { kind: "exited", exitCode: 0, stdout: "", stderr: "" },
  { kind: "exited", exitCode: 1, stdout: "", stderr: "" },
  { kind: "gone", reason: "paused" },
  { kind: "running", output: "partial" },
];

describe("dryRunSweep", () => {
  it("reports what a sweep would do", async () => {
    const dry = seeded();
    const wet = seeded();
    const { report } = await dry.dryRun();
    const real = reportOf(await wet.lead());
    expect(report).toEqual({
      ...real,
      dryRun: true,
      epoch: null,
      // Nothing was written that could be looked at again.
      waiting: { ...real.waiting, nextLookAt: null },
      cleanups: { done: 0, pending: 0, abandoned: 0 },
    });
  });

  it("writes nothing anywhere", async () => {
    const { db, store, journal, leadership, backend, dryRun } = seeded();
    const before = structuredClone([db.runs, db.presets, db.verdicts, db.leadership]);
    const writes = [
      vi.spyOn(store, "apply"),
      vi.spyOn(store, "defer"),
      vi.spyOn(leadership, "begin"),
      vi.spyOn(leadership, "progress"),
      vi.spyOn(leadership, "finish"),
      vi.spyOn(journal, "claimCleanups"),
      vi.spyOn(journal, "recordFirstRun"),
    ];
    await dryRun();
    expect(backend.asked).toHaveLength(4);
    expect([db.runs, db.presets, db.verdicts, db.leadership]).toEqual(before);
    expect(backend.deleted).toEqual([]);
    for (const write of writes) expect(write).not.toHaveBeenCalled();
  });

  it("keeps to the named runs and to the limit", async () => {
    const { dryRun } = seeded();
    const runIds = ["run-00003", "run-00001", "run-00002"];
    const { report } = await dryRun({ runIds, limit: 2 });
    expect(report.runs.map(({ runId }) => runId).toSorted()).toEqual(["run-00001", "run-00003"]);
  });

  it("tells who watches how it goes on, without an epoch", async () => {
    const { dryRun } = seeded();
    const watch = { onBegin: vi.fn(), onOutcome: vi.fn(), onProgress: vi.fn() };
    await dryRun({}, watch);
    const backlog = { count: 4, deferred: 0, held: 0, failing: 0, oldestOverdueMs: 1000 };
    expect(watch.onBegin.mock.calls).toEqual([[{ epoch: null, backlog }]]);
    expect(watch.onOutcome).toHaveBeenCalledTimes(4);
    expect(watch.onProgress).toHaveBeenCalled();
  });

  it("ends as interrupted when it is stopped, and aborts its questions", async () => {
    const { backend, stop, dryRun, logged } = seeded();
    backend.holds("run-00002");
    const running = dryRun();
    await settle();
    stop.abort(new StopRequestedError("SIGINT"));
    const { report } = await running;
    expect(report).toMatchObject({ status: "interrupted", exitCode: 130, counts: { stale: 2 } });
    expect(backend.aborted).toEqual(["run-00002"]);
    // A verdict for show is no event.
    expect(logged()).toEqual(["debug dry run, would be: run ended"]);
  });

  it("reports and logs what ended it", async () => {
    const { clock, store, dryRun, lines } = seeded();
    vi.spyOn(store, "read").mockRejectedValue(AWAY);
    const running = dryRun();
    await clock.advance(4250);
    expect(await running).toMatchObject({
      error: AWAY,
      report: { status: "error", exitCode: 1, dryRun: true },
    });
    expect(lines).toEqual([
      { level: "error", message: "the dry run failed", fields: { err: AWAY } },
    ]);
  });

  it("rejects when it could not even begin", async () => {
    const { leadership, dryRun } = seeded();
    vi.spyOn(leadership, "horizon").mockRejectedValue(AWAY);
    await expect(dryRun()).rejects.toBe(AWAY);
  });
});

describe("dryStore", () => {
  it("reads what is there and writes nothing, with a success for every write", async () => {
    const { store, db } = sweepWorld();
    const row = db.add();
    const before = structuredClone(db.runs);
    const dry = dryStore(store);
    const horizon = { text: db.nowText(), ms: db.nowMs() };
    const query = { horizon, nullDeadlineAfterMs: 1000, includeSuspected: false };
    const fence = openFence(db);

    expect((await dry.backlog(query)).count).toBe(1);
    expect((await dry.stalePage(query, null, 10)).ids).toEqual([row.id]);
    const run = await dry.read(row.id, query);
    if (run === null) throw new Error("the run is there");
    expect((await dry.facts(run, fence)).rowMatches).toBe(true);
    const suspicion = observation(null, "sandbox missing", 1000);
    const deferral = {
      run,
      deferMs: 1000,
      shieldMs: 0,
      notAfterMs: null,
      statusDetail: null,
      suspicion,
    };
    expect(await dry.defer(deferral, fence)).toEqual({ kind: "written" });
    const verdict = { kind: "complete", basis: "proof", reason: "exit_code=0" } as const;
    const ending = {
      run,
      verdict,
      evidence: {},
      holder: "h",
      trigger: "once",
      cleanupInMs: 0,
      deletionInMs: null,
      overrideReason: null,
    } as const;
    expect(await dry.apply(ending, fence)).toEqual({ kind: "written" });
    await dry.deferSkipped([run.id], query, { deferMs: 1000, shieldMs: 0 }, fence);
    await dry.noteError({ runId: run.id, cause: "a constraint", retryInMs: 1000 }, fence);
    await dry.dropSuspicions(fence);
    expect(db.suspicions.size).toBe(0);
    expect(db.runs).toEqual(before);
    expect(db.verdicts).toEqual([]);
  });
});

/** One run for each kind of evidence, without clean-ups to do. */
function seeded() {
  const world = sweepWorld();
  const { lease: _, ...deps } = world.deps;
  world.backend.cleans = false;
  for (const evidence of EVIDENCE) world.backend.says(world.db.add().id, evidence);
  return Object.assign(world, {
    dryRun: (request: Partial<typeof REQUEST> = {}, watch = {}) =>
      dryRunSweep({ ...deps, watch }, OPTIONS, { ...REQUEST, ...request }, world.stop.signal),
  });
}
