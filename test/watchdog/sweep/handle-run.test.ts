import { describe, expect, it, vi } from "vitest";
import type { Evidence } from "../../../src/rules/model.ts";
import { settle } from "../../support/memory/fake-clock.ts";
import type { MemoryRun } from "../../support/memory/memory-database.ts";
import { sweepStand } from "../../support/stands/sweep-world.ts";

const EXITED: Evidence = { kind: "exited", exitCode: 0, stdout: "out", stderr: "" };
const REJECTED: Evidence = {
  kind: "unreachable",
  failure: {
    source: "service_api",
    operation: "mint_api_key",
    kind: "unknown",
    statusCode: 401,
    message: "service_api mint_api_key returned HTTP 401",
    retryAfterMs: null,
  },
};
const GONE: Evidence = { kind: "gone", reason: "missing" };

describe("handleRun", () => {
  it("reads the row again, asks, and writes, in this order", async () => {
    const { db, store, backend, sweep, onProgress } = sweepStand();
    const steps: string[] = [];
    note(steps, store, "read");
    note(steps, backend, "verify");
    note(steps, store, "apply");
    onProgress.mockImplementation(() => steps.push("progress"));
    backend.says(db.add().id, EXITED);
    await sweep();
    const read = steps.indexOf("read");
    expect(steps.slice(read)).toEqual([
      "read",
      "progress",
      "verify",
      "progress",
      "apply",
      "progress",
    ]);
  });

  const meanwhile: readonly { readonly name: string; readonly change: Partial<MemoryRun> }[] = [
    { name: "has ended", change: { status: "COMPLETED" } },
    { name: "was given more time", change: { timeoutAtMs: Number.MAX_SAFE_INTEGER / 2 } },
  ];
  for (const { name, change } of meanwhile) {
    it(`spends no question on a run that ${name} since the page was read`, async () => {
      const { db, store, backend, sweep, outcomes } = sweepStand();
      const { id } = db.add();
      onPage(store, () => db.change(id, change));
      await sweep();
      expect(backend.asked).toEqual([]);
      expect(outcomes).toEqual([
        { runId: id, action: "lost-race", basis: null, reason: null, verifyMs: null },
      ]);
    });
  }

  it("spends no question on a run that was deleted since the page was read", async () => {
    const { db, store, backend, sweep, outcomes } = sweepStand();
    const { id } = db.add();
    onPage(store, () => db.runs.delete(id));
    await sweep();
    expect(backend.asked).toEqual([]);
    expect(outcomes[0]?.action).toBe("lost-race");
  });

  const named = [
    { name: "does not exist", change: null, reason: "no such run" },
    {
      name: "has ended",
      change: { status: "CANCELLED" },
      reason: "CANCELLED, not past its deadline",
    },
    {
      name: "is in time",
      change: { timeoutAtMs: Number.MAX_SAFE_INTEGER / 2 },
      reason: "RUNNING, not past its deadline",
    },
  ];
  for (const { name, change, reason } of named) {
    it(`skips a named run that ${name}, and says so`, async () => {
      const { db, backend, sweep, outcomes } = sweepStand();
      const runId = change === null ? "unknown" : db.add(change).id;
      await sweep({ runIds: [runId] });
      expect(backend.asked).toEqual([]);
      expect(outcomes).toEqual([{ runId, action: "skipped", basis: null, reason, verifyMs: null }]);
    });
  }

  it("judges by the row as it was read again, and asks about that one", async () => {
    const { db, store, backend, sweep } = sweepStand();
    const { id } = db.add({ sandboxId: null });
    onPage(store, () => db.change(id, { sandboxId: "late" }));
    const verify = vi.spyOn(backend, "verify");
    backend.says(id, EXITED);
    await sweep();
    expect(verify.mock.lastCall?.[0].sandboxId).toBe("late");
    expect(db.verdicts).toMatchObject([{ runId: id, sandboxId: "late" }]);
  });

  it("loses to a callback that comes while the backend is asked", async () => {
    const { db, backend, sweep, outcomes } = sweepStand();
    const { id } = db.add();
    const answer = backend.holds(id);
    const swept = sweep();
    await answer.asked;
    db.change(id, { status: "COMPLETED" });
    answer.answer(GONE);
    await swept;
    expect(db.runs.get(id)).toMatchObject({ status: "COMPLETED", errorDetail: null });
    expect(db.verdicts).toEqual([]);
    expect(outcomes).toMatchObject([{ action: "lost-race", basis: null, reason: null }]);
  });

  it("reports a run that somebody else is writing as busy", async () => {
    const { db, backend, sweep, outcomes } = sweepStand();
    const { id } = db.add();
    db.locked.add(id);
    backend.says(id, EXITED);
    await sweep();
    expect(db.runs.get(id)?.status).toBe("RUNNING");
    expect(outcomes).toMatchObject([{ action: "busy", basis: null, reason: null, verifyMs: 0 }]);
  });

  it("notes why a run got no answer, in the words that group it", async () => {
    const { db, store, backend, sweep } = sweepStand();
    backend.says(db.add().id, REJECTED);
    await sweep();
    const causes = [{ cause: "service_api mint_api_key: HTTP 401", count: 1 }];
    expect(await store.waiting()).toMatchObject({ unanswered: 1, causes });
  });

  it("measures how long the backend took", async () => {
    const { db, clock, backend, sweep, outcomes } = sweepStand();
    const answer = backend.holds(db.add().id);
    const swept = sweep();
    await clock.advance(1500);
    answer.answer(EXITED);
    await swept;
    expect(outcomes[0]?.verifyMs).toBe(1500);
  });
});

describe("RunSweep horizon", () => {
  it("meets the hard deadline with the horizon, however long the backend took", async () => {
    for (const [beganAgoMs, action] of [
      [1_499_999, "deferred"],
      [1_500_000, "failed"],
    ] as const) {
      const { db, clock, backend, sweep, outcomes } = sweepStand();
      const answer = backend.holds(db.add({ beganAtMs: db.nowMs() - beganAgoMs }).id);
      const swept = sweep();
      await clock.advance(10_000);
      answer.answer({ kind: "running", output: "none" });
      await swept;
      expect(outcomes[0]?.action).toBe(action);
    }
  });

  it("takes up no run whose deadline passes during the sweep", async () => {
    const { db, clock, backend, sweep } = sweepStand();
    const slow = backend.holds(db.add().id);
    const later = db.add({ timeoutAtMs: db.nowMs() });
    const swept = sweep({ pageSize: 1, concurrency: 1 });
    await clock.advance(20_000);
    slow.answer(EXITED);
    await swept;
    expect(backend.asked).not.toContain(later.id);
  });
});

/** Runs `change` when the first page has been read, before anything is done with it. */
function onPage(store: ReturnType<typeof sweepStand>["store"], change: () => void): void {
  const read = store.stalePage.bind(store);
  vi.spyOn(store, "stalePage").mockImplementationOnce(async (...args) => {
    const page = await read(...args);
    change();
    return page;
  });
}

function note<T extends object, K extends keyof T & string>(steps: string[], target: T, name: K) {
  const method = target[name];
  if (typeof method !== "function") throw new Error(`${name} is not a method`);
  Object.assign(target, {
    async [name](...args: readonly unknown[]) {
      steps.push(name);
      await settle();
      return method.apply(target, args);
    },
  });
}
