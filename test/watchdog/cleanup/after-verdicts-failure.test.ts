import { describe, expect, it, vi } from "vitest";
import { LeaseLostError, StoreUnavailableError } from "../../../src/watchdog/errors.ts";
import { settle } from "../../support/memory/fake-clock.ts";
import { afterVerdictsStand as stand } from "../../support/stands/after-verdicts-stand.ts";

const AWAY = new StoreUnavailableError("ECONNREFUSED");
const STOP = new Error("stopping");

describe("AfterVerdicts with a deletion that fails", () => {
  it("notes the failure and when to try again, and goes on with the others", async () => {
    const { db, backend, afterVerdicts, start, lines } = stand();
    const [bad, good] = [db.addVerdict(), db.addVerdict()];
    const result = { kind: "failed", failure: "HTTP 503", retryAfterMs: null } as const;
    backend.cleanupSays(bad.sandboxId ?? "", result);
    afterVerdicts.endSweep();
    await start();
    expect(good.cleanupState).toBe("done");
    expect(bad).toMatchObject({
      cleanupState: "pending",
      cleanupError: "HTTP 503",
      cleanupNextAtMs: db.nowMs() + 30_000,
    });
    expect(afterVerdicts.summary).toEqual({ done: 1, abandoned: 0 });
    expect(lines).toMatchObject([
      {
        level: "warn",
        message: "deleting a sandbox failed",
        fields: { runId: bad.runId, attempts: 1, state: "pending", retryInMs: 30_000 },
      },
    ]);
  });

  it("waits as long as the API asked for", async () => {
    const { db, backend, afterVerdicts, start } = stand();
    const bad = db.addVerdict();
    backend.cleanupSays(bad.sandboxId ?? "", {
      kind: "failed",
      failure: "HTTP 429",
      retryAfterMs: 200_000,
    });
    afterVerdicts.endSweep();
    await start();
    expect(bad.cleanupNextAtMs).toBe(db.nowMs() + 200_000);
  });

  it("counts and reports what is given up", async () => {
    const { db, backend, afterVerdicts, start, logged } = stand();
    const bad = db.addVerdict({ decidedAtMs: db.nowMs() - 86_400_001 });
    const result = { kind: "failed", failure: "HTTP 503", retryAfterMs: null } as const;
    backend.cleanupSays(bad.sandboxId ?? "", result);
    afterVerdicts.endSweep();
    await start();
    expect(bad.cleanupState).toBe("abandoned");
    expect(afterVerdicts.summary).toEqual({ done: 0, abandoned: 1 });
    expect(logged()).toEqual(["error deleting a sandbox failed"]);
  });

  it("notes a backend that rejects as a failure like any other", async () => {
    const { db, backend, afterVerdicts, start } = stand();
    const [bad, good] = [db.addVerdict(), db.addVerdict()];
    backend.holdsCleanup(bad.sandboxId ?? "").reject(new TypeError("a bug"));
    afterVerdicts.endSweep();
    await start();
    expect(good.cleanupState).toBe("done");
    expect(bad).toMatchObject({ cleanupState: "pending", cleanupError: "unexpected error" });
  });

  it("is given up four minutes after its claim, a minute before it may be claimed again", async () => {
    const { db, clock, backend, start } = stand();
    const slow = db.addVerdict();
    backend.holdsCleanup(slow.sandboxId ?? "");
    start();
    await clock.advance(239_999);
    expect(backend.aborted).toEqual([]);
    await clock.advance(1);
    expect(backend.aborted).toEqual([slow.sandboxId]);
    expect(slow).toMatchObject({
      cleanupState: "pending",
      cleanupError: "no answer before the claim ran out",
      cleanupNextAtMs: db.nowMs() + 30_000,
    });
  });

  it("is given up in time although the backend does not heed its signal", async () => {
    const { db, clock, backend, start } = stand();
    const slow = db.addVerdict();
    vi.spyOn(backend, "cleanup").mockReturnValue(new Promise(() => {}));
    start();
    await clock.advance(240_000);
    expect(slow.cleanupError).toBe("no answer before the claim ran out");
  });

  it("is not begun when the claim itself took four minutes", async () => {
    const { db, clock, journal, backend, afterVerdicts, start } = stand();
    const late = db.addVerdict();
    const claim = journal.claimCleanups.bind(journal);
    vi.spyOn(journal, "claimCleanups").mockImplementationOnce(async (...args) => {
      const tasks = await claim(...args);
      clock.block(240_000);
      return tasks;
    });
    afterVerdicts.endSweep();
    await start();
    expect(backend.deleted).toEqual([]);
    expect(late).toMatchObject({
      cleanupState: "pending",
      cleanupError: "no answer before the claim ran out",
    });
  });

  it("leaves no timer behind", async () => {
    const { db, clock, afterVerdicts, start } = stand();
    db.addVerdict();
    afterVerdicts.endSweep();
    await start();
    expect(clock.sleeping).toBe(0);
  });

  it("goes on with the others when the journal refuses one", async () => {
    const { db, journal, afterVerdicts, start, logged } = stand();
    const verdicts = [db.addVerdict(), db.addVerdict(), db.addVerdict()];
    vi.spyOn(journal, "cleanupDone").mockRejectedValueOnce(new Error("SQLSTATE 23514"));
    afterVerdicts.endSweep();
    await start();
    expect(verdicts.map(({ cleanupState }) => cleanupState)).toEqual(["pending", "done", "done"]);
    expect(logged()).toEqual(["error cleaning up a sandbox failed"]);
  });
});

describe("AfterVerdicts that cannot go on", () => {
  it("end with an outage of the journal, and abort the deletions in flight", async () => {
    const { db, journal, backend, afterVerdicts, start } = stand();
    const first = backend.holdsCleanup(db.addVerdict().sandboxId ?? "");
    const { sandboxId } = db.addVerdict();
    backend.holdsCleanup(sandboxId ?? "");
    vi.spyOn(journal, "cleanupDone").mockRejectedValueOnce(AWAY);
    const ended = expect(start()).resolves.toBe(AWAY);
    await settle();
    first.answer({ kind: "deleted" });
    await settle();
    expect(backend.aborted).toEqual([sandboxId]);
    afterVerdicts.endSweep();
    await ended;
  });

  it("end when the fence refuses a claim", async () => {
    const { fence, afterVerdicts, start } = stand();
    const lost = new Error("the lease was lost");
    fence.check.mockImplementation(() => {
      throw lost;
    });
    afterVerdicts.endSweep();
    await expect(start()).resolves.toBe(lost);
  });

  it("ask for nothing when the lease is lost while a claim is on its way back", async () => {
    const { db, journal, backend, fence, afterVerdicts, start } = stand();
    db.addVerdict();
    const lost = new LeaseLostError("too late");
    const claim = journal.claimCleanups.bind(journal);
    vi.spyOn(journal, "claimCleanups").mockImplementationOnce(async (...args) => {
      const tasks = await claim(...args);
      fence.check.mockImplementation(() => {
        throw lost;
      });
      return tasks;
    });
    const ended = expect(start()).resolves.toBe(lost);
    await settle();
    expect(backend.deleted).toEqual([]);
    afterVerdicts.endSweep();
    await ended;
  });

  it("end with their signal while they wait", async () => {
    const { start, stop } = stand();
    const ended = expect(start()).resolves.toBe(STOP);
    await settle();
    stop.abort(STOP);
    await ended;
  });

  it("end with their signal when it aborts before they begin to wait", async () => {
    for (let turns = 0; turns < 20; turns += 1) {
      const { start, stop, loops } = stand();
      start();
      await microtasks(turns);
      stop.abort(STOP);
      await settle();
      expect(loops(), `after ${turns}`).toBe("ended");
    }
  });

  it("end with their signal, which aborts the deletions in flight and starts no other", async () => {
    const { db, backend, start, stop, logged } = stand();
    const ids = Array.from({ length: 4 }, () => db.addVerdict().sandboxId ?? "");
    for (const id of ids) backend.holdsCleanup(id);
    const ended = expect(start()).resolves.toBe(STOP);
    await settle();
    stop.abort(STOP);
    await ended;
    expect(backend.deleted).toEqual(ids.slice(0, 2));
    expect(backend.aborted).toEqual(ids.slice(0, 2));
    expect(db.verdicts.filter(({ cleanupError }) => cleanupError !== null)).toEqual([]);
    expect(logged()).toEqual([]);
  });

  it("end with their signal although the backend does not heed it", async () => {
    const { db, backend, start, stop, logged } = stand();
    const verdict = db.addVerdict();
    vi.spyOn(backend, "cleanup").mockReturnValue(new Promise(() => {}));
    const ended = expect(start()).resolves.toBe(STOP);
    await settle();
    stop.abort(STOP);
    await ended;
    expect(verdict).toMatchObject({ cleanupState: "pending", cleanupAttempts: 1 });
    expect(logged()).toEqual([]);
  });
});

/** Lets so many promise reactions run. */
async function microtasks(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn += 1) await null;
}
