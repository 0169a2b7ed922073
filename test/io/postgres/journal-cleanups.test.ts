import { describe, expect, it } from "vitest";
import { type RunSeed, type SeededRun, seedRun, seedRuns } from "../../../src/demo/seed.ts";
import type { CleanupTask, Fence } from "../../../src/watchdog/ports.ts";
import { createDatabase, type TestDatabase } from "../../support/database.ts";
import {
  completing,
  everything,
  failing,
  openStores,
  readRun,
  type TestStores,
  takeEpoch,
} from "../../support/stores.ts";

describe("PostgresJournal.claimCleanups", () => {
  it("hands out what is due with its attempt counted, and not again", async () => {
    await using world = await setup();
    const { id, sandboxId, userId, orgId } = await world.ended("proof");
    expect(await world.claim()).toEqual([
      { id: expect.any(Number), runId: id, sandboxId, userId, orgId, attempts: 1 },
    ]);
    expect(await world.claim()).toEqual([]);
    expect(await world.entry(id)).toMatchObject({
      cleanup_state: "pending",
      cleanup_attempts: 1,
      seconds: 300,
    });
  });

  it("hands a claimed one out again when nobody has reported back in time", async () => {
    await using world = await setup();
    const { id } = await world.ended("proof");
    await world.claim();
    await world.database.sql`UPDATE watchdog.verdicts SET cleanup_next_at = now()`;
    expect(await world.claim()).toMatchObject([{ runId: id, attempts: 2 }]);
  });

  it("leaves one alone that is due a second later, and takes the oldest first", async () => {
    await using world = await setup();
    const [late, early, later] = [
      await world.ended("proof"),
      await world.ended("proof"),
      await world.ended("proof"),
    ];
    await world.dueIn(late.id, "-1 second");
    await world.dueIn(early.id, "-2 seconds");
    await world.dueIn(later.id, "10 minutes");
    expect((await world.claim(1)).map(({ runId }) => runId)).toEqual([early.id]);
    expect((await world.claim(5)).map(({ runId }) => runId)).toEqual([late.id]);
  });

  it("gives those who claim at once different ones", async () => {
    await using world = await setup();
    await world.many(40);
    const claims = await Promise.all(Array.from({ length: 8 }, () => world.claim(5)));
    const ids = claims.flat().map(({ id }) => id);
    expect(ids).toHaveLength(40);
    expect(new Set(ids).size).toBe(40);
  });

  it("passes over one that somebody else is claiming, without waiting", async () => {
    await using world = await setup();
    const [locked, free] = [await world.ended("proof"), await world.ended("proof")];
    const done = Promise.withResolvers<void>();
    const holds = Promise.withResolvers<void>();
    const holding = world.database.sql.begin(async (tx) => {
      await tx`SELECT FROM watchdog.verdicts WHERE run_id = ${locked.id} FOR UPDATE`;
      holds.resolve();
      await done.promise;
    });
    await holds.promise;
    const claimed = await world.claim().finally(() => done.resolve());
    await holding;
    expect(claimed.map(({ runId }) => runId)).toEqual([free.id]);
  });

  const presumptions: readonly (readonly [string, string, "claimed" | "settled"])[] = [
    ["still stands", "error_detail = error_detail", "claimed"],
    ["was overturned by a callback", "status = 'COMPLETED', error_detail = NULL", "settled"],
    ["was cancelled after all", "status = 'CANCELLED'", "settled"],
    ["failed for another reason meanwhile", "error_detail = 'exit_code=1'", "settled"],
    ["moved to another sandbox", "sandbox_id = 'other'", "settled"],
    ["has no sandbox any more", "sandbox_id = NULL", "settled"],
  ];
  it.each(presumptions)("decides about a presumption that %s", async (_, change, expected) => {
    await using world = await setup();
    const { id } = await world.ended("presumption");
    await world.database.sql.unsafe(`UPDATE automation_runs SET ${change} WHERE id = '${id}'`);
    expect(await world.claim()).toHaveLength(expected === "claimed" ? 1 : 0);
    expect(await world.entry(id)).toMatchObject({
      cleanup_state: expected === "claimed" ? "pending" : "none",
    });
  });

  it("settles a presumption whose run is gone, and one whose automation keeps its sandbox by now", async () => {
    await using world = await setup();
    const [gone, kept] = [await world.ended("presumption"), await world.ended("presumption")];
    await world.database.sql`DELETE FROM automation_runs WHERE id = ${gone.id}`;
    await world.database
      .sql`UPDATE automations SET keep_alive = true WHERE id = ${kept.automationId}`;
    expect(await world.claim()).toEqual([]);
    for (const { id } of [gone, kept]) {
      expect(await world.entry(id)).toMatchObject({ cleanup_state: "none" });
    }
  });

  it("claims a proof whatever became of its row", async () => {
    await using world = await setup();
    const { id } = await world.ended("proof");
    await world.database.sql`DELETE FROM automation_runs WHERE id = ${id}`;
    expect(await world.claim()).toMatchObject([{ runId: id }]);
  });

  it("finds what is due behind a full page of presumptions that are settled", async () => {
    await using world = await setup();
    for (let index = 0; index < 3; index += 1) await world.ended("presumption");
    await world.database.sql`UPDATE automation_runs SET status = 'COMPLETED'`;
    await world.database
      .sql`UPDATE watchdog.verdicts SET cleanup_next_at = now() - interval '1 minute'`;
    const { id } = await world.ended("proof");
    expect(await world.claim(3)).toMatchObject([{ runId: id }]);
  });

  it("reads no keep_alive where the host has none", async () => {
    await using world = await setup();
    const { id } = await world.ended("presumption");
    await world.database.sql`ALTER TABLE automations DROP COLUMN keep_alive`;
    await using stores = openStores(world.database.connection);
    expect(await stores.journal.claimCleanups(world.fence, 5)).toMatchObject([{ runId: id }]);
  });
});

describe("PostgresJournal, about clean-ups", () => {
  it("counts those that are pending, due or not", async () => {
    await using world = await setup();
    const [first] = [await world.ended("proof"), await world.ended("proof")];
    await world.dueIn(first.id, "1 hour");
    expect(await world.stores.journal.pendingCleanups()).toBe(2);
    const [task] = await world.claim();
    await world.stores.journal.cleanupDone(task?.id ?? 0, world.fence);
    expect(await world.stores.journal.pendingCleanups()).toBe(1);
  });

  it("closes one that is done", async () => {
    await using world = await setup();
    const { id } = await world.ended("proof");
    const [task] = await world.claim();
    await world.stores.journal.cleanupFailed(task?.id ?? 0, "status 500", 0, world.fence);
    await world.stores.journal.cleanupDone(task?.id ?? 0, world.fence);
    expect(await world.entry(id)).toMatchObject({
      cleanup_state: "done",
      cleanup_error: null,
      seconds: null,
    });
  });

  it.each([
    ["tries a failed one again a second short of a day", "23:59:59", "pending"],
    ["gives a failed one up after a day", "24:00:01", "abandoned"],
  ] as const)("%s", async (_, age, expected) => {
    await using world = await setup();
    const { id } = await world.ended("proof");
    const [task] = await world.claim();
    await world.database
      .sql`UPDATE watchdog.verdicts SET decided_at = now() - ${age}::text::interval`;
    const state = await world.stores.journal.cleanupFailed(
      task?.id ?? 0,
      "status 500",
      60_000,
      world.fence,
    );
    expect(state).toBe(expected);
    expect(await world.entry(id)).toMatchObject({
      cleanup_state: expected,
      cleanup_error: "status 500",
      seconds: 60,
    });
    expect(await world.stores.journal.pendingCleanups()).toBe(expected === "pending" ? 1 : 0);
  });

  it("changes nothing under an older epoch, and sends nothing when the fence refuses", async () => {
    await using world = await setup();
    await world.ended("proof");
    const [task] = await world.claim();
    const id = task?.id ?? 0;
    await world.ended("proof");
    const old = world.fence;
    await takeEpoch(world.stores);
    const before = await everything(world.database.sql);
    const { journal } = world.stores;
    expect(await journal.claimCleanups(old, 5)).toEqual([]);
    await journal.cleanupDone(id, old);
    expect(await journal.cleanupFailed(id, "status 500", 0, old)).toBe("pending");
    const reason = new Error("the lease is lost");
    const refusing: Fence = {
      epoch: old.epoch + 1,
      check() {
        throw reason;
      },
    };
    await expect(journal.claimCleanups(refusing, 5)).rejects.toBe(reason);
    await expect(journal.cleanupDone(id, refusing)).rejects.toBe(reason);
    await expect(journal.cleanupFailed(id, "", 0, refusing)).rejects.toBe(reason);
    expect(await everything(world.database.sql)).toEqual(before);
  });
});

interface CleanupWorld extends AsyncDisposable {
  readonly database: TestDatabase;
  readonly stores: TestStores;
  readonly fence: Fence;
  /** A run that was ended, with its clean-up due at once. */
  ended(basis: "proof" | "presumption", seed?: RunSeed): Promise<SeededRun>;
  many(count: number): Promise<void>;
  claim(limit?: number): Promise<readonly CleanupTask[]>;
  dueIn(runId: string, time: string): Promise<void>;
  entry(runId: string): Promise<unknown>;
}

async function setup(): Promise<CleanupWorld> {
  await using resources = new AsyncDisposableStack();
  const database = resources.use(await createDatabase());
  const stores = resources.use(openStores(database.connection, { size: 8 }));
  const fence = await takeEpoch(stores);
  const { sql } = database;
  const opened = resources.move();
  const end = async (run: SeededRun, basis: "proof" | "presumption") => {
    const snapshot = await readRun(stores, run.id);
    const write = basis === "proof" ? completing(snapshot) : failing(snapshot);
    expect(await stores.store.apply(write, fence)).toEqual({ kind: "written" });
  };
  return {
    database,
    stores,
    fence,
    async ended(basis, seed = {}) {
      const run = await seedRun(sql, seed);
      await end(run, basis);
      return run;
    },
    async many(count) {
      const runs = await seedRuns(
        sql,
        Array.from({ length: count }, () => ({})),
      );
      await Promise.all(runs.map((run) => end(run, "proof")));
    },
    claim: (limit = 10) => stores.journal.claimCleanups(fence, limit),
    async dueIn(runId, time) {
      await sql`
        UPDATE watchdog.verdicts SET cleanup_next_at = now() + ${time}::text::interval
        WHERE run_id = ${runId}`;
    },
    async entry(runId) {
      const [row] = await sql`
        SELECT cleanup_state, cleanup_attempts, cleanup_error,
               ceil(extract(epoch FROM cleanup_next_at - now()) / 10)::int * 10 AS seconds
        FROM watchdog.verdicts WHERE run_id = ${runId}`;
      return row;
    },
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}
