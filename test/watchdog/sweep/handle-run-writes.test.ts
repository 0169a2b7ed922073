import { describe, expect, it } from "vitest";
import type { Evidence } from "../../../src/rules/model.ts";
import { failure } from "../../support/stands/snapshot.ts";
import { HOLDER, SHIELD_MS, sweepStand } from "../../support/stands/sweep-world.ts";

const EXITED: Evidence = { kind: "exited", exitCode: 0, stdout: "out", stderr: "" };
const GONE: Evidence = { kind: "gone", reason: "missing" };
const HARD_DEADLINE_IN_MS = 800_000;

describe("RunSweep writes", () => {
  const outcomes: readonly {
    readonly name: string;
    readonly evidence: Evidence;
    readonly outcome: object;
    readonly row: object;
  }[] = [
    {
      name: "completes a run and leaves its error_detail as it is",
      evidence: EXITED,
      outcome: { action: "completed", basis: "proof", reason: "exit_code=0" },
      row: { status: "COMPLETED", errorDetail: null, statusDetail: "null" },
    },
    {
      name: "fails a run whose sandbox is gone",
      evidence: GONE,
      outcome: { action: "failed", basis: "presumption", reason: "sandbox missing" },
      row: { status: "FAILED", errorDetail: "Timed out: Sandbox not available" },
    },
    {
      name: "defers a running one, and wipes its status_detail",
      evidence: { kind: "running", output: "none" },
      outcome: { action: "deferred", basis: null, reason: "running" },
      row: { status: "RUNNING", statusDetail: "null" },
    },
    {
      name: "defers one that nobody can tell about, and says why",
      evidence: { kind: "unreachable", failure: failure() },
      outcome: { action: "undetermined", basis: null, reason: "sandbox_api get_sandbox: HTTP 429" },
      row: { status: "RUNNING", statusDetail: expect.stringContaining('"count":1') },
    },
  ];
  for (const { name, evidence, outcome, row } of outcomes) {
    it(name, async () => {
      const stand = sweepStand();
      const { id } = stand.db.add();
      stand.backend.says(id, evidence);
      await stand.sweep();
      expect(stand.outcomes).toEqual([{ runId: id, verifyMs: 0, ...outcome }]);
      expect(stand.db.runs.get(id)).toMatchObject(row);
    });
  }

  it("leaves in the journal who decided what, and why", async () => {
    const { db, backend, sweep, fence } = sweepStand();
    const { id } = db.add();
    backend.says(id, { ...EXITED, exitCode: 3 });
    await sweep();
    expect(db.verdicts).toMatchObject([
      {
        runId: id,
        epoch: fence.epoch,
        holder: HOLDER,
        trigger: "cron",
        outcome: "FAILED",
        basis: "proof",
        reason: "exit_code=3",
        evidence: { kind: "exited", exit_code: 3, stdout_chars: 3, stderr_chars: 0 },
      },
    ]);
  });

  const deferrals = [
    {
      name: "defers a running run by the whole step when its hard deadline is later",
      stepMs: HARD_DEADLINE_IN_MS - 1,
      evidence: "running",
      inMs: HARD_DEADLINE_IN_MS - 1,
    },
    {
      name: "defers a running run to its hard deadline when the step is longer",
      stepMs: HARD_DEADLINE_IN_MS + 1,
      evidence: "running",
      inMs: HARD_DEADLINE_IN_MS,
    },
    {
      name: "looks again at its hard deadline at one that nobody can tell about",
      stepMs: HARD_DEADLINE_IN_MS + 1,
      evidence: "unreachable",
      inMs: HARD_DEADLINE_IN_MS,
    },
  ] as const;
  for (const { name, stepMs, evidence, inMs } of deferrals) {
    it(name, async () => {
      const { db, backend, sweep } = sweepStand();
      const { id } = db.add();
      if (evidence === "unreachable") backend.says(id, { kind: evidence, failure: failure() });
      await sweep({ deferMs: stepMs });
      expect(db.suspicions.get(id)?.lookAtMs).toBe(db.nowMs() + inMs);
      expect(db.runs.get(id)?.timeoutAtMs).toBe(db.nowMs() + inMs + SHIELD_MS);
    });
  }

  it("looks again one step later once the hard deadline has passed", async () => {
    const { db, backend, sweep } = sweepStand();
    const { id } = db.add({ beganAtMs: db.nowMs() - 3_600_000 });
    backend.says(id, { kind: "unreachable", failure: failure() });
    await sweep({ deferMs: 30_000 });
    expect(db.suspicions.get(id)?.lookAtMs).toBe(db.nowMs() + 30_000);
    expect(db.runs.get(id)?.timeoutAtMs).toBe(db.nowMs() + 30_000 + SHIELD_MS);
  });
});

describe("RunSweep clean-up", () => {
  const cases = [
    {
      name: "lets the sandbox of a proof be deleted at once",
      evidence: EXITED,
      state: "pending",
      inMs: 0,
    },
    {
      name: "spares the sandbox of a presumption for the delay",
      evidence: GONE,
      state: "pending",
      inMs: 300_000,
    },
    {
      name: "keeps a sandbox that its automation keeps alive",
      evidence: EXITED,
      run: { keepAlive: true },
      state: "none",
      inMs: null,
    },
    {
      name: "schedules nothing without a sandbox",
      evidence: EXITED,
      run: { sandboxId: null },
      state: "none",
      inMs: null,
    },
    {
      name: "schedules nothing with a backend that cannot delete",
      evidence: EXITED,
      cleans: false,
      state: "none",
      inMs: null,
    },
  ];
  for (const { name, evidence, run = {}, cleans = true, state, inMs } of cases) {
    it(name, async () => {
      const { db, backend, sweep } = sweepStand();
      backend.cleans = cleans;
      backend.says(db.add(run).id, evidence);
      await sweep();
      const atMs = inMs === null ? null : db.nowMs() + inMs;
      expect(db.verdicts).toMatchObject([{ cleanupState: state, cleanupNextAtMs: atMs }]);
    });
  }
});
