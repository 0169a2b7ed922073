import { describe, expect, it, vi } from "vitest";
import { settle } from "../../support/memory/fake-clock.ts";
import { afterVerdictsStand } from "../../support/stands/after-verdicts-stand.ts";

const FAILED = { kind: "failed", failure: "circuit open", retryAfterMs: 60_000 } as const;

describe("AfterVerdicts and an API that is not to be asked", () => {
  it("claim nothing, so that no attempt is counted", async () => {
    const { db, journal, backend, afterVerdicts, start } = stand("paused");
    const claim = vi.spyOn(journal, "claimCleanups");
    const verdict = db.addVerdict();
    afterVerdicts.endSweep();
    expect(await start()).toBeNull();
    expect(claim).not.toHaveBeenCalled();
    expect(backend.deleted).toEqual([]);
    expect(verdict).toMatchObject({ cleanupState: "pending", cleanupAttempts: 0 });
  });

  it("delete with the next nudge when it may be asked again", async () => {
    const { db, api, backend, afterVerdicts, start } = stand("paused");
    const verdict = db.addVerdict();
    start();
    await settle();
    api.blockedReason = null;
    afterVerdicts.nudge();
    await settle();
    expect(backend.deleted).toEqual([verdict.sandboxId]);
  });

  it("end their pass when it refuses in the middle, and leave the rest unclaimed", async () => {
    const { db, api, backend, afterVerdicts, start } = stand(null);
    const verdicts = [db.addVerdict(), db.addVerdict(), db.addVerdict()];
    const held = verdicts.map(({ sandboxId }) => backend.holdsCleanup(sandboxId ?? ""));
    start();
    await settle();
    expect(backend.deleted).toHaveLength(2);
    api.blockedReason = "circuit open";
    for (const answer of held) answer.answer(FAILED);
    await settle();
    afterVerdicts.endSweep();
    await settle();
    expect(verdicts.map(({ cleanupAttempts }) => cleanupAttempts)).toEqual([1, 1, 0]);
    expect(verdicts[0]?.cleanupNextAtMs).toBe(db.nowMs() + 60_000);
  });

  it("claim nothing more in this sweep when a deletion alone is refused", async () => {
    const { db, backend, afterVerdicts, start } = stand(null);
    const verdicts = [db.addVerdict(), db.addVerdict(), db.addVerdict(), db.addVerdict()];
    const refused = { kind: "not-asked", reason: "deletions fail", retryAfterMs: 90_000 } as const;
    for (const { sandboxId } of verdicts) backend.cleanupSays(sandboxId ?? "", refused);
    start();
    await settle();
    afterVerdicts.endSweep();
    await settle();
    expect(verdicts.map(({ cleanupAttempts }) => cleanupAttempts)).toEqual([1, 1, 0, 0]);
    expect(verdicts[0]).toMatchObject({
      cleanupState: "pending",
      cleanupNextAtMs: db.nowMs() + 90_000,
      cleanupError: "deletions fail",
    });
  });

  it("go on with other owners' sandboxes when one owner's are refused", async () => {
    const { db, backend, afterVerdicts, start } = stand(null);
    const verdicts = [db.addVerdict(), db.addVerdict(), db.addVerdict(), db.addVerdict()];
    const [first] = verdicts;
    const refused = { kind: "not-asked", reason: "a pause", retryAfterMs: 90_000 } as const;
    backend.cleanupSays(first?.sandboxId ?? "", { ...refused, everybody: false });
    start();
    await settle();
    afterVerdicts.endSweep();
    await settle();
    expect(verdicts.map(({ cleanupState }) => cleanupState)).toEqual([
      "pending",
      "done",
      "done",
      "done",
    ]);
    expect(first?.cleanupNextAtMs).toBe(db.nowMs() + 90_000);
  });

  it("record first runs all the same", async () => {
    const { db, afterVerdicts, start } = stand("paused");
    const verdict = db.addVerdict({ cleanupState: "none", firstRunState: "pending" });
    db.presets.set(verdict.automationId, '{"template":{}}');
    afterVerdicts.endSweep();
    await start();
    expect(verdict.firstRunState).toBe("done");
  });
});

/** AfterVerdicts whose backend has an API that all runs share. */
function stand(blockedReason: string | null) {
  const world = afterVerdictsStand();
  const api = {
    throttle: { pausedForMs: 0, concurrency: null },
    breaker: "closed" as const,
    blockedReason,
    restore() {},
  };
  Object.assign(world.backend, { api });
  return { ...world, api };
}
