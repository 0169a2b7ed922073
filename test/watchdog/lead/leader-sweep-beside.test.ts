import { describe, expect, it, vi } from "vitest";
import type { Evidence } from "../../../src/rules/model.ts";
import {
  FencedError,
  StopRequestedError,
  StoreUnavailableError,
} from "../../../src/watchdog/errors.ts";
import { settle } from "../../support/memory/fake-clock.ts";
import { INSTALLATION } from "../../support/memory/memory-leadership.ts";
import { reportOf, sweepWorld } from "../../support/stands/sweep-world.ts";

const EXITED: Evidence = { kind: "exited", exitCode: 1, stdout: "", stderr: "" };
const AWAY = new StoreUnavailableError("ECONNREFUSED");

describe("LeaderSweep clean-up", () => {
  it("deletes a proof's sandbox while other runs are still asked about", async () => {
    const { db, backend, lead } = sweepWorld();
    const ended = db.add();
    backend.says(ended.id, EXITED);
    const slow = backend.holds(db.add().id);
    const swept = lead();
    await settle();
    expect(backend.deleted).toEqual([ended.sandboxId]);
    slow.answer(EXITED);
    expect(reportOf(await swept).cleanups).toEqual({ done: 2, pending: 0, abandoned: 0 });
  });

  it("waits for deletions after the last run, one millisecond less than it may", async () => {
    const { db, clock, backend, lead } = sweepWorld();
    const { id, sandboxId } = db.add();
    backend.says(id, EXITED);
    const slow = backend.holdsCleanup(sandboxId ?? "");
    const swept = lead();
    await clock.advance(29_999);
    slow.answer({ kind: "deleted" });
    await clock.advance(0);
    expect(reportOf(await swept)).toMatchObject({
      status: "ok",
      cleanups: { done: 1, pending: 0 },
    });
    expect(backend.aborted).toEqual([]);
  });

  it("waits no longer than it may, and leaves the rest to the next sweep", async () => {
    const { db, clock, backend, lead, leadership } = sweepWorld();
    const { id, sandboxId } = db.add();
    backend.says(id, EXITED);
    backend.holdsCleanup(sandboxId ?? "");
    const finish = vi.spyOn(leadership, "finish");
    const swept = lead();
    await clock.advance(30_000);
    expect(reportOf(await swept)).toMatchObject({
      status: "ok",
      cleanups: { done: 0, pending: 1 },
    });
    expect(backend.aborted).toEqual([sandboxId]);
    expect(finish).toHaveBeenCalledTimes(1);
  });

  it("ends well when the journal fails, and says that the rest is left", async () => {
    const { db, journal, backend, lead, logged } = sweepWorld();
    backend.says(db.add().id, EXITED);
    vi.spyOn(journal, "claimCleanups").mockRejectedValue(AWAY);
    expect(reportOf(await lead())).toMatchObject({ status: "ok", cleanups: { pending: 1 } });
    expect(logged()).toEqual(["info run ended", "warn clean-up goes on in the next sweep"]);
  });

  it("is cut short by a stop, which interrupts the sweep that waits for it", async () => {
    const { db, backend, stop, lead, lease } = sweepWorld();
    const { id, sandboxId } = db.add();
    backend.says(id, EXITED);
    backend.holdsCleanup(sandboxId ?? "");
    const swept = lead();
    await settle();
    stop.abort(new StopRequestedError("SIGTERM"));
    expect(reportOf(await swept)).toMatchObject({ status: "interrupted", counts: { failed: 1 } });
    expect(backend.aborted).toEqual([sandboxId]);
    expect(lease.holderOf(INSTALLATION)).toBeNull();
  });

  it("keeps the lease until a statement of the clean-up on its way has been answered", async () => {
    const { db, backend, journal, stop, lead, lease } = sweepWorld();
    backend.says(db.add().id, EXITED);
    backend.holds(db.add().id);
    const reply = Promise.withResolvers<void>();
    const done = journal.cleanupDone.bind(journal);
    vi.spyOn(journal, "cleanupDone").mockImplementation(async (...args) => {
      await done(...args);
      await reply.promise;
    });
    const swept = lead();
    await settle();
    stop.abort(new StopRequestedError("SIGTERM"));
    await settle();
    expect(lease.holderOf(INSTALLATION)).not.toBeNull();
    reply.resolve();
    expect(reportOf(await swept).cleanups.done).toBe(1);
    expect(lease.holderOf(INSTALLATION)).toBeNull();
  });

  it("ends, and lets go of the lease, whenever it is stopped", async () => {
    for (let turns = 0; turns < 40; turns += 1) {
      const { db, backend, lease, stop, lead } = sweepWorld();
      backend.says(db.add().id, EXITED);
      const ended = vi.fn();
      const swept = lead().then(ended, ended);
      for (let turn = 0; turn < turns; turn += 1) await null;
      stop.abort(new StopRequestedError("SIGTERM"));
      await settle();
      expect(ended, `after ${turns}`).toHaveBeenCalledTimes(1);
      expect(lease.holderOf(INSTALLATION)).toBeNull();
      await swept;
    }
  });
});

describe("LeaderSweep and the fleet", () => {
  it("notes progress every 5 s while it makes some", async () => {
    const { db, clock, leadership, held, swept } = underWay();
    const progress = vi.spyOn(leadership, "progress");
    await clock.advance(1000);
    held[0]?.answer(EXITED);
    await clock.advance(3999);
    expect(progress).not.toHaveBeenCalled();
    await clock.advance(1);
    expect(progress).toHaveBeenCalledTimes(1);
    expect(db.leadership.progressedAtMs).toBe(db.nowMs());
    await clock.advance(10_000);
    expect(progress).toHaveBeenCalledTimes(1);
    held[1]?.answer(EXITED);
    await clock.advance(0);
    expect(reportOf(await swept).status).toBe("ok");
  });

  it("ends when it finds a newer epoch there, and aborts its questions at once", async () => {
    const { db, clock, backend, held, swept, ids } = underWay();
    await clock.advance(1000);
    held[0]?.answer(EXITED);
    await clock.advance(1000);
    db.takeEpoch();
    await clock.advance(3000);
    expect(await swept).toMatchObject({
      error: expect.any(FencedError),
      report: { status: "error", counts: { stale: 1 } },
    });
    expect(backend.aborted).toEqual([ids[1]]);
    expect(db.leadership.lastReport).toBeNull();
  });

  it("goes on when progress cannot be noted", async () => {
    const { clock, leadership, held, swept, logged } = underWay();
    vi.spyOn(leadership, "progress").mockRejectedValue(AWAY);
    await clock.advance(1000);
    held[0]?.answer(EXITED);
    await clock.advance(5000);
    held[1]?.answer(EXITED);
    await clock.advance(0);
    expect(reportOf(await swept).status).toBe("ok");
    expect(logged()).toEqual(["info run ended", "debug noting progress failed", "info run ended"]);
  });

  it("leaves nothing that waits behind", async () => {
    const { clock, held, swept } = underWay();
    for (const answer of held) answer.answer(EXITED);
    await swept;
    expect(clock.sleeping).toBe(0);
  });
});

/** A sweep that waits for the answers about two runs. */
function underWay() {
  const world = sweepWorld();
  const ids = [world.db.add({ sandboxId: null }).id, world.db.add({ sandboxId: null }).id];
  const held = ids.map((id) => world.backend.holds(id));
  return Object.assign(world, { ids, held, swept: world.lead() });
}
