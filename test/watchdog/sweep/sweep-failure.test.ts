import { describe, expect, it, vi } from "vitest";
import type { Evidence } from "../../../src/rules/model.ts";
import {
  FencedError,
  LeaseLostError,
  StoreSchemaError,
  StoreUnavailableError,
} from "../../../src/watchdog/errors.ts";
import { settle } from "../../support/memory/fake-clock.ts";
import { sweepStand } from "../../support/stands/sweep-world.ts";

const EXITED: Evidence = { kind: "exited", exitCode: 0, stdout: "", stderr: "" };
const AWAY = new StoreUnavailableError("ECONNREFUSED");

describe("sweep that cannot go on", () => {
  it("ends with the lease: no write starts any more", async () => {
    const { db, backend, fence, sweep } = sweepStand();
    const held = [backend.holds(db.add().id), backend.holds(db.add().id)];
    const lost = new LeaseLostError("the lease was not renewed in time");
    const ended = expect(sweep()).rejects.toBe(lost);
    await settle();
    fence.check.mockImplementation(() => {
      throw lost;
    });
    for (const answer of held) answer.answer(EXITED);
    await ended;
    expect(db.verdicts).toEqual([]);
  });

  it("ends when it is fenced: what is in flight is aborted, and nothing else is taken up", async () => {
    const { db, backend, sweep, outcomes } = sweepStand();
    const ids = Array.from({ length: 8 }, () => db.add().id);
    const [first] = ids.map((id) => backend.holds(id));
    const ended = expect(sweep()).rejects.toThrow(FencedError);
    await settle();
    db.takeEpoch();
    first?.answer(EXITED);
    await ended;
    expect(backend.aborted).toEqual(ids.slice(1, 4));
    expect(backend.asked).toHaveLength(4);
    expect(outcomes).toEqual([]);
  });

  it("lets no write begin after another one's outcome could not be found out", async () => {
    const { db, store, backend, sweep } = sweepStand();
    const [first, second] = [db.add().id, db.add().id];
    backend.says(first, EXITED);
    const asked = Promise.withResolvers<void>();
    // Deaf to the abort: its answer is there when the question could still have been interrupted.
    const late = Promise.withResolvers<Evidence>();
    const verify = backend.verify.bind(backend);
    vi.spyOn(backend, "verify").mockImplementation(async (run, signal) => {
      if (run.id !== second) return await verify(run, signal);
      asked.resolve();
      return await late.promise;
    });
    vi.spyOn(store, "apply").mockRejectedValueOnce(AWAY);
    vi.spyOn(store, "facts").mockRejectedValueOnce(AWAY);
    const ended = expect(sweep()).rejects.toBe(AWAY);
    await asked.promise;
    await settle();
    late.resolve(EXITED);
    await ended;
    expect(db.verdicts).toEqual([]);
  });

  for (const error of [AWAY, new StoreSchemaError("column timeout_at is missing")]) {
    it(`ends with a ${error.name} of a read, and takes up nothing else`, async () => {
      const { db, store, backend, sweep, logged } = sweepStand();
      db.add();
      db.add();
      vi.spyOn(store, "read").mockRejectedValueOnce(error);
      await expect(sweep({ concurrency: 1 })).rejects.toBe(error);
      expect(backend.asked).toEqual([]);
      expect(logged()).toEqual([]);
    });
  }

  it("ends with the failure of a later page, after what is in flight", async () => {
    const { db, store, backend, sweep, outcomes } = sweepStand();
    const ids = Array.from({ length: 3 }, () => db.add().id);
    const held = ids.map((id) => backend.holds(id));
    const read = store.stalePage.bind(store);
    vi.spyOn(store, "stalePage").mockImplementation(async (query, cursor, limit) => {
      if (cursor !== null) throw AWAY;
      return await read(query, cursor, limit);
    });
    await expect(sweep({ pageSize: 3 })).rejects.toBe(AWAY);
    expect(backend.aborted).toEqual(ids);
    expect(outcomes).toEqual([]);
    for (const answer of held) answer.answer(EXITED);
  });

  it("ends with its signal: questions are aborted at once, and no write starts", async () => {
    const { db, backend, sweep, stop, outcomes, logged } = sweepStand();
    const ids = [db.add().id, db.add().id];
    for (const id of ids) backend.holds(id);
    const reason = new Error("stopping");
    const ended = expect(sweep()).rejects.toBe(reason);
    await settle();
    stop.abort(reason);
    await ended;
    expect(backend.aborted).toEqual(ids);
    expect(outcomes).toEqual([]);
    expect(logged()).toEqual([]);
  });

  it("awaits a write that is on its way when its signal aborts", async () => {
    const { db, store, backend, sweep, stop, outcomes } = sweepStand();
    const { id } = db.add();
    backend.says(id, EXITED);
    const reply = Promise.withResolvers<void>();
    const apply = store.apply.bind(store);
    vi.spyOn(store, "apply").mockImplementation(async (...args) => {
      const result = await apply(...args);
      await reply.promise;
      return result;
    });
    const ended = vi.fn();
    const swept = sweep().finally(ended);
    const rejected = expect(swept).rejects.toThrow("stopping");
    await settle();
    stop.abort(new Error("stopping"));
    await settle();
    expect(ended).not.toHaveBeenCalled();
    reply.resolve();
    await rejected;
    expect(outcomes).toMatchObject([{ runId: id, action: "completed" }]);
  });
});
