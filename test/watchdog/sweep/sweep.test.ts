import { describe, expect, it, vi } from "vitest";
import type { Evidence } from "../../../src/rules/model.ts";
import { settle } from "../../support/memory/fake-clock.ts";
import { sweepStand } from "../../support/stands/sweep-world.ts";

const EXITED: Evidence = { kind: "exited", exitCode: 0, stdout: "", stderr: "" };

describe("sweep", () => {
  it("takes up every stale run once, over many pages, and nothing else", async () => {
    const { db, backend, sweep, outcomes } = sweepStand();
    const stale = Array.from({ length: 20 }, () => db.add().id);
    db.add({ status: "COMPLETED" });
    db.add({ timeoutAtMs: db.nowMs() });
    await sweep();
    expect(backend.asked.toSorted()).toEqual(stale);
    expect(outcomes.map(({ runId }) => runId).toSorted()).toEqual(stale);
  });

  it("does nothing when there is nothing to do", async () => {
    const { sweep, outcomes } = sweepStand();
    await sweep();
    expect(outcomes).toEqual([]);
  });

  it("asks about as many runs at once as it may, across pages", async () => {
    const { db, backend, sweep } = sweepStand();
    const held = Array.from({ length: 6 }, () => backend.holds(db.add().id));
    const swept = sweep({ concurrency: 4, pageSize: 3 });
    await settle();
    expect(backend.asked).toHaveLength(4);
    held[0]?.answer(EXITED);
    await settle();
    expect(backend.asked).toHaveLength(5);
    for (const answer of held) answer.answer(EXITED);
    await swept;
  });

  it("takes up the named runs alone, each once", async () => {
    const { db, backend, sweep, outcomes } = sweepStand();
    const [a, b] = [db.add(), db.add(), db.add()].map(({ id }) => id);
    await sweep({ runIds: [b ?? "", a ?? "", b ?? ""] });
    expect(backend.asked).toEqual([b, a]);
    expect(outcomes).toHaveLength(2);
  });

  for (const { limit, asked } of [
    { limit: 0, asked: 0 },
    { limit: 1, asked: 1 },
    { limit: 3, asked: 3 },
    { limit: 4, asked: 4 },
    { limit: 5, asked: 5 },
    { limit: 6, asked: 5 },
  ]) {
    it(`takes up ${asked} of 5 runs in pages of 3 with a limit of ${limit}`, async () => {
      const { db, backend, sweep } = sweepStand();
      for (let count = 0; count < 5; count += 1) db.add();
      await sweep({ limit });
      expect(backend.asked).toHaveLength(asked);
    });
  }

  it("reads nothing for a limit of 0", async () => {
    const { store, sweep } = sweepStand();
    const read = vi.spyOn(store, "stalePage");
    await sweep({ limit: 0 });
    expect(read).not.toHaveBeenCalled();
  });

  it("counts named runs against the limit", async () => {
    const { db, backend, sweep } = sweepStand();
    const ids = [db.add().id, db.add().id, db.add().id];
    await sweep({ runIds: ids, limit: 2 });
    expect(backend.asked).toEqual(ids.slice(0, 2));
  });

  it("asks the fence before every write, and once for each", async () => {
    const { db, backend, fence, sweep } = sweepStand();
    for (let count = 0; count < 5; count += 1) db.add();
    backend.says("run-00002", EXITED);
    await sweep();
    expect(fence.check).toHaveBeenCalledTimes(5);
  });
});

describe("sweep with a run that cannot be handled", () => {
  const bug = new TypeError("secret text of a tenant");
  const cases: readonly {
    readonly name: string;
    readonly breakIt: (stand: ReturnType<typeof sweepStand>, id: string) => void;
    readonly reason?: string;
  }[] = [
    {
      name: "its backend rejects",
      breakIt: ({ backend }, id) => backend.holds(id).reject(bug),
    },
    {
      name: "it cannot be read",
      breakIt: ({ store }) => vi.spyOn(store, "read").mockRejectedValueOnce(bug),
    },
    {
      name: "its evidence cannot be judged",
      breakIt: ({ backend }, id) => backend.says(id, JSON.parse('{"kind":"unreachable"}')),
    },
    {
      name: "its write throws",
      breakIt: ({ store }) => vi.spyOn(store, "defer").mockRejectedValueOnce(bug),
    },
    {
      name: "the store refuses what it should write",
      breakIt: ({ store }) =>
        vi
          .spyOn(store, "defer")
          .mockResolvedValueOnce({ kind: "refused", cause: "SQLSTATE 23514" }),
      reason: "SQLSTATE 23514",
    },
    {
      name: "its write is swallowed",
      breakIt: ({ store }) => vi.spyOn(store, "defer").mockResolvedValueOnce({ kind: "none" }),
      reason: "the write had no effect (trigger or row security)",
    },
  ];
  for (const { name, breakIt, reason } of cases) {
    it(`counts it as an error when ${name}, and goes on with the others`, async () => {
      const stand = sweepStand();
      const ids = Array.from({ length: 4 }, () => stand.db.add().id);
      breakIt(stand, ids[0] ?? "");
      await stand.sweep({ concurrency: 1 });
      const wanted = reason ?? "an unexpected TypeError";
      expect(stand.outcomes).toMatchObject([
        { runId: ids[0], action: "error", basis: null, reason: wanted },
        ...ids.slice(1).map((runId) => ({ runId, action: "deferred" })),
      ]);
      expect(stand.logged()).toEqual(["error a run could not be handled"]);
    });
  }
});
