import { describe, expect, it, vi } from "vitest";
import type { Evidence } from "../../../src/rules/model.ts";
import { rehearseSweep } from "../../../src/watchdog/lead/dry-run.ts";
import { StoreUnavailableError } from "../../../src/watchdog/ports.ts";
import { StopRequestedError } from "../../../src/watchdog/stop.ts";
import { settle } from "../../support/memory/fake-clock.ts";
import { OPTIONS, REQUEST, reportOf, sweepWorld } from "../../support/stands/sweep-world.ts";

const AWAY = new StoreUnavailableError("ECONNREFUSED");

const EVIDENCE: readonly Evidence[] = [
  { kind: "exited", exitCode: 0, stdout: "", stderr: "" },
  { kind: "exited", exitCode: 1, stdout: "", stderr: "" },
  { kind: "gone", reason: "paused" },
  { kind: "running", output: "partial" },
];

describe("rehearseSweep", () => {
  it("reports what a sweep would do", async () => {
    const dry = seeded();
    const wet = seeded();
    const { report } = await dry.rehearse();
    const real = reportOf(await wet.conduct());
    expect(report).toEqual({
      ...real,
      dryRun: true,
      epoch: null,
      cleanups: { done: 0, pending: 0, abandoned: 0 },
    });
  });

  it("writes nothing anywhere", async () => {
    const { db, store, journal, leadership, backend, rehearse } = seeded();
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
    await rehearse();
    expect(backend.asked).toHaveLength(4);
    expect([db.runs, db.presets, db.verdicts, db.leadership]).toEqual(before);
    expect(backend.deleted).toEqual([]);
    for (const write of writes) expect(write).not.toHaveBeenCalled();
  });

  it("keeps to the named runs and to the limit", async () => {
    const { rehearse } = seeded();
    const runIds = ["run-00003", "run-00001", "run-00002"];
    const { report } = await rehearse({ runIds, limit: 2 });
    expect(report.runs.map(({ runId }) => runId).toSorted()).toEqual(["run-00001", "run-00003"]);
  });

  it("tells who watches how it goes on, without an epoch", async () => {
    const { rehearse } = seeded();
    const watch = { onBegin: vi.fn(), onOutcome: vi.fn(), onProgress: vi.fn() };
    await rehearse({}, watch);
    const backlog = { count: 4, deferred: 0, held: 0, failing: 0, oldestOverdueMs: 1000 };
    expect(watch.onBegin.mock.calls).toEqual([[{ epoch: null, backlog }]]);
    expect(watch.onOutcome).toHaveBeenCalledTimes(4);
    expect(watch.onProgress).toHaveBeenCalled();
  });

  it("ends as interrupted when it is stopped, and aborts its questions", async () => {
    const { backend, stop, rehearse, logged } = seeded();
    backend.holds("run-00002");
    const rehearsed = rehearse();
    await settle();
    stop.abort(new StopRequestedError("SIGINT"));
    const { report } = await rehearsed;
    expect(report).toMatchObject({ status: "interrupted", exitCode: 130, counts: { stale: 2 } });
    expect(backend.aborted).toEqual(["run-00002"]);
    expect(logged()).toEqual([]);
  });

  it("reports and logs what ended it", async () => {
    const { clock, store, rehearse, lines } = seeded();
    vi.spyOn(store, "read").mockRejectedValue(AWAY);
    const rehearsed = rehearse();
    await clock.advance(4250);
    expect(await rehearsed).toMatchObject({
      error: AWAY,
      report: { status: "error", exitCode: 1, dryRun: true },
    });
    expect(lines).toEqual([
      { level: "error", message: "the dry run failed", fields: { err: AWAY } },
    ]);
  });

  it("rejects when it could not even begin", async () => {
    const { leadership, rehearse } = seeded();
    vi.spyOn(leadership, "horizon").mockRejectedValue(AWAY);
    await expect(rehearse()).rejects.toBe(AWAY);
  });
});

/** One run for each kind of evidence, without clean-ups to do. */
function seeded() {
  const world = sweepWorld();
  const { lease: _, ...deps } = world.deps;
  world.backend.cleans = false;
  for (const evidence of EVIDENCE) world.backend.says(world.db.add().id, evidence);
  return Object.assign(world, {
    rehearse: (request: Partial<typeof REQUEST> = {}, watch = {}) =>
      rehearseSweep({ ...deps, watch }, OPTIONS, { ...REQUEST, ...request }, world.stop.signal),
  });
}
