import { describe, expect, it, vi } from "vitest";
import type { Evidence } from "../../../src/rules/model.ts";
import { StoreUnavailableError } from "../../../src/watchdog/errors.ts";
import type { Fence } from "../../../src/watchdog/ports.ts";
import type { WriteFacts, WriteResult } from "../../../src/watchdog/store-ports.ts";
import { LateWrites, resolveWrite } from "../../../src/watchdog/sweep/resolve-write.ts";
import { snapshot } from "../../support/stands/snapshot.ts";
import { sweepStand } from "../../support/stands/sweep-world.ts";

const EXITED: Evidence = { kind: "exited", exitCode: 0, stdout: "", stderr: "" };
const GONE: Evidence = { kind: "gone", reason: "missing" };
const ALIVE: Evidence = { kind: "running", output: "none" };
const LATE = new StoreUnavailableError("no answer within 15000 ms", { late: true });
const IN_A_ROW = 5;
const WRITTEN = { kind: "written" } as const;
const BUSY = { kind: "busy" } as const;
const FENCE: Fence = { shard: 0, epoch: 1, check() {} };

describe("LateWrites", () => {
  it("lets a write be sent after one late write less than too many", async () => {
    const writes = new LateWrites();
    await late(writes, IN_A_ROW - 1);
    expect(await attempt(writes, async () => WRITTEN)).toEqual(WRITTEN);
  });

  it("lets none be sent after too many in a row, and says where to look", async () => {
    const writes = new LateWrites();
    await late(writes, IN_A_ROW);
    const sent = vi.fn(async () => WRITTEN);
    await expect(attempt(writes, sent)).rejects.toThrow(StoreUnavailableError);
    await expect(attempt(writes, sent)).rejects.toThrow(
      /^5 writes in a row had no answer in time: look for a lock/,
    );
    await expect(attempt(writes, sent)).rejects.toMatchObject({ late: false });
    expect(sent).not.toHaveBeenCalled();
  });

  it("starts anew with a write that is answered, whatever the answer is", async () => {
    const writes = new LateWrites();
    await late(writes, IN_A_ROW - 1);
    expect(await attempt(writes, async () => BUSY)).toEqual(BUSY);
    await late(writes, IN_A_ROW - 1);
    expect(await attempt(writes, async () => WRITTEN)).toEqual(WRITTEN);
  });

  it("does not count what failed for another reason than time", async () => {
    const writes = new LateWrites();
    for (const error of [new StoreUnavailableError("ECONNRESET"), new TypeError("odd")]) {
      for (let time = 0; time < IN_A_ROW; time += 1) {
        await expect(attempt(writes, () => Promise.reject(error))).rejects.toBe(error);
      }
    }
    expect(await attempt(writes, async () => WRITTEN)).toEqual(WRITTEN);
  });

  it("makes the end of the sweep the run's own trouble where the run was late itself", async () => {
    const writes = new LateWrites();
    const facts = Promise.withResolvers<WriteFacts>();
    const store = { facts: () => facts.promise };
    const resolved = resolveWrite(store, snapshot(), FENCE, true, () =>
      writes.attempt(async (check) => {
        check();
        throw LATE;
      }),
    );
    await late(writes, IN_A_ROW - 1);
    facts.resolve({ journaled: false, epochIsOurs: true, rowMatches: true });
    expect(await resolved).toEqual({ kind: "error", cause: LATE.message });
  });
});

describe("a sweep whose writes have no answer in time", () => {
  it("goes on after a single run: that one is an error of its own", async () => {
    const stand = fleet(["late", ...others(10)]);
    await stand.sweep({ concurrency: 1 });
    expect(stand.actions()).toEqual(["error", ...others(10).map(() => "completed")]);
  });

  it("goes on after two runs in a row, and with several among others that are answered", async () => {
    const stand = fleet(["late", "late", "fine", "late", "late", "fine", "fine"]);
    await stand.sweep({ concurrency: 1 });
    expect(stand.actions()).toEqual(
      ["error", "error", "completed", "error", "error", "completed"].concat("completed"),
    );
  });

  it("ends regularly when the late ones were the last", async () => {
    const stand = fleet([...others(4), "late", "late", "late", "late"], { together: 4 });
    await stand.sweep({ concurrency: 8 });
    expect(stand.actions().filter((action) => action === "error")).toHaveLength(4);
  });

  it("ends when they are all late, with a note on every run that was tried", async () => {
    const stand = fleet(Array.from({ length: 50 }, () => "late"));
    await expect(stand.sweep({ concurrency: 4 })).rejects.toThrow(/writes in a row had no answer/);
    // The next sweep begins with others.
    expect(stand.sent().length).toBeGreaterThan(0);
    expect([...stand.db.suspicions.keys()].sort()).toEqual([...new Set(stand.sent())].sort());
    expect(stand.sent().length).toBeLessThanOrEqual(IN_A_ROW + 4);
  });

  it("ends with a note on all that were on their way when the first ones were late", async () => {
    const stand = fleet(
      Array.from({ length: 50 }, () => "late"),
      { together: 8 },
    );
    await expect(stand.sweep({ concurrency: 8 })).rejects.toThrow(/writes in a row had no answer/);
    expect(stand.db.suspicions.size).toBe(8);
  });

  it("ends although each of them turns out to have been made", async () => {
    const stand = fleet(Array.from({ length: 50 }, () => "made"));
    await expect(stand.sweep({ concurrency: 2 })).rejects.toThrow(/writes in a row had no answer/);
    expect(stand.db.verdicts).toHaveLength(IN_A_ROW);
  });

  it.each([
    ["deferrals", ALIVE, "defer"],
    ["verdicts that waited for the guard", GONE, "apply"],
  ] as const)("ends for late %s as well", async (_, evidence, method) => {
    const stand = sweepStand();
    for (let index = 0; index < 30; index += 1) stand.backend.says(stand.db.add().id, evidence);
    const sent = vi.fn();
    vi.spyOn(stand.store, method).mockImplementation(async (_: unknown, fence: Fence) => {
      fence.check();
      sent();
      throw LATE;
    });
    const sweeping = stand.sweep({ concurrency: 2, overrideReason: "a test" });
    await expect(sweeping).rejects.toThrow(/writes in a row had no answer/);
    expect(sent.mock.calls.length).toBeLessThanOrEqual(IN_A_ROW + 2);
  });
});

function attempt(writes: LateWrites, write: () => Promise<WriteResult>): Promise<WriteResult> {
  return writes.attempt(async (check) => {
    check();
    return await write();
  });
}

async function late(writes: LateWrites, times: number): Promise<void> {
  for (let time = 0; time < times; time += 1) {
    await expect(attempt(writes, () => Promise.reject(LATE))).rejects.toBe(LATE);
  }
}

type Kind = "fine" | "late" | "made";

function others(count: number): readonly Kind[] {
  return Array.from({ length: count }, () => "fine");
}

/**
 * Runs with an exit code, in this order; `made`: the write takes effect, and its answer is late. So many late ones are
 * on their way at once before the first of them is.
 */
function fleet(kinds: readonly Kind[], { together = 1 } = {}) {
  const stand = sweepStand();
  const { db, store, backend, outcomes } = stand;
  const runs = kinds.map((kind) => ({ kind, id: db.add().id }));
  for (const { id } of runs) backend.says(id, EXITED);
  const kindOf = new Map(runs.map(({ id, kind }) => [id, kind]));
  const { apply } = store;
  const allOnTheirWay = Promise.withResolvers<void>();
  const sent: string[] = [];
  vi.spyOn(store, "apply").mockImplementation(async (write, fence) => {
    const kind = kindOf.get(write.run.id);
    if (kind === "late") {
      fence.check();
      sent.push(write.run.id);
      if (sent.length === together) allOnTheirWay.resolve();
      await allOnTheirWay.promise;
      throw LATE;
    }
    const result = await apply.call(store, write, fence);
    if (kind === "made") throw LATE;
    return result;
  });
  return {
    ...stand,
    /** The runs of the late writes, each as often as it was written. */
    sent: () => sent,
    /** In the order of the runs. */
    actions: () =>
      runs.map(({ id }) => outcomes.find(({ runId }) => runId === id)?.action ?? "none"),
  };
}
