import { describe, expect, it, vi } from "vitest";
import type { Evidence } from "../../../src/rules/model.ts";
import {
  FencedError,
  LeaseLostError,
  StopRequestedError,
  StoreUnavailableError,
} from "../../../src/watchdog/errors.ts";
import { settle } from "../../support/memory/fake-clock.ts";
import { INSTALLATION } from "../../support/memory/memory-leadership.ts";
import { reportOf, sweepWorld } from "../../support/stands/sweep-world.ts";

const EXITED: Evidence = { kind: "exited", exitCode: 1, stdout: "", stderr: "" };
const AWAY = new StoreUnavailableError("ECONNREFUSED");

describe("LeaderSweep that is cut short", () => {
  it("ends with a lost lease: questions are aborted at once, nothing is written", async () => {
    const { db, clock, lease, backend, lead, logged } = sweepWorld();
    const ids = [db.add().id, db.add().id];
    for (const id of ids) backend.holds(id);
    const swept = lead();
    await settle();
    lease.forget(INSTALLATION);
    await clock.advance(5000);
    const result = await swept;
    expect(result).toMatchObject({
      error: expect.any(LeaseLostError),
      report: { status: "error", exitCode: 1, epoch: 1, counts: { stale: 0 } },
    });
    expect(backend.aborted).toEqual(ids);
    expect(db.leadership.sweepFinishedAtMs).toBeNull();
    expect(logged()).toEqual(["warn lease lost", "error sweep failed"]);
  });

  it("gives the lease up when nothing has ended for its time", async () => {
    const { db, clock, lease, backend, lead } = sweepWorld();
    backend.holds(db.add().id);
    const swept = lead();
    await clock.advance(59_999);
    expect(lease.holderOf(INSTALLATION)).not.toBeNull();
    await clock.advance(1);
    expect(reportOf(await swept).status).toBe("error");
    expect(lease.holderOf(INSTALLATION)).toBeNull();
  });

  it("keeps the lease as long as something ends in its time", async () => {
    const { db, clock, backend, lead } = sweepWorld();
    const held = [backend.holds(db.add().id), backend.holds(db.add().id)];
    const swept = lead();
    for (const answer of held) {
      await clock.advance(59_999);
      answer.answer(EXITED);
    }
    await clock.advance(1);
    expect(reportOf(await swept)).toMatchObject({ status: "ok", durationMs: 119_998 });
  });

  it("gives the lease back only after a write on its way has been answered", async () => {
    const { db, clock, store, lease, backend, lead } = sweepWorld();
    backend.says(db.add().id, EXITED);
    const reply = Promise.withResolvers<void>();
    const apply = store.apply.bind(store);
    vi.spyOn(store, "apply").mockImplementation(async (...args) => {
      const result = await apply(...args);
      await reply.promise;
      return result;
    });
    vi.spyOn(lease, "renew").mockRejectedValue(new Error("a bug"));
    const release = vi.spyOn(lease, "release");
    const swept = lead();
    await clock.advance(20_000);
    expect(release).not.toHaveBeenCalled();
    reply.resolve();
    expect(reportOf(await swept)).toMatchObject({ status: "error", counts: { failed: 1 } });
    expect(release).toHaveBeenCalledTimes(1);
  });

  for (const { reason, exitCode } of [
    { reason: new StopRequestedError("SIGTERM"), exitCode: 143 },
    { reason: new StopRequestedError("SIGINT"), exitCode: 130 },
    { reason: new Error("an embedding host stops"), exitCode: 143 },
  ]) {
    it(`ends as interrupted with ${exitCode} by "${reason.message}", which is no failure`, async () => {
      const { db, backend, stop, lead, logged, leadership, lease } = sweepWorld();
      const { id } = db.add();
      backend.holds(id);
      const finish = vi.spyOn(leadership, "finish");
      const swept = lead();
      await settle();
      stop.abort(reason);
      const result = await swept;
      expect(result).toMatchObject({
        error: reason,
        report: { status: "interrupted", exitCode, epoch: 1 },
      });
      expect(backend.aborted).toEqual([id]);
      expect(finish).not.toHaveBeenCalled();
      expect(lease.holderOf(INSTALLATION)).toBeNull();
      expect(logged()).toEqual([]);
    });
  }

  it("reports an outage that outlasts its patience, with what was done until then", async () => {
    const { db, clock, store, lead, lease } = sweepWorld();
    db.add();
    const read = store.stalePage.bind(store);
    vi.spyOn(store, "stalePage").mockImplementation(async (query, cursor, limit) => {
      if (cursor !== null) throw AWAY;
      return await read(query, cursor, limit);
    });
    const swept = lead();
    await clock.advance(4250);
    expect(await swept).toMatchObject({
      error: AWAY,
      report: { status: "error", exitCode: 1, counts: { stale: 1, deferred: 1 } },
    });
    expect(db.leadership.sweepFinishedAtMs).toBeNull();
    expect(lease.holderOf(INSTALLATION)).toBeNull();
  });

  const ends: readonly {
    readonly name: string;
    readonly finish: () => Promise<boolean>;
    readonly error: unknown;
  }[] = [
    {
      name: "a newer epoch was handed out before its end was noted",
      finish: async () => false,
      error: expect.any(FencedError),
    },
    {
      name: "its end could not be noted",
      finish: () => Promise.reject(AWAY),
      error: AWAY,
    },
  ];
  for (const { name, finish, error } of ends) {
    it(`fails when ${name}`, async () => {
      const { leadership, lead, lease } = sweepWorld();
      vi.spyOn(leadership, "finish").mockImplementation(finish);
      expect(await lead()).toMatchObject({ error, report: { status: "error", exitCode: 1 } });
      expect(lease.holderOf(INSTALLATION)).toBeNull();
    });
  }
});
