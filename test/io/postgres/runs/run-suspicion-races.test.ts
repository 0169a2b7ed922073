import { describe, expect, it } from "vitest";
import type { RunSnapshot } from "../../../../src/rules/model.ts";
import { pauseCommits } from "../../../races/paused-commit.ts";
import { postgresStoreStand } from "../../../support/stands/postgres-store-stand.ts";
import { queryOf } from "../../../support/stands/store-stand.ts";
import {
  DARK,
  fail,
  HOUR_MS,
  leave,
  PRESUMED,
  read,
  WRITTEN,
} from "../../../support/stands/store-steps.ts";
import { completing, deferring, everything, failing } from "../../../support/stands/stores.ts";

const BUSY = { kind: "busy" };

describe("a write to a run of which somebody else is noting something", () => {
  it("is busy at once: the other transaction ends only after the answer", async () => {
    await using world = await setup();
    const { store, fence, known: run } = world;
    const before = await everything(world.sql);
    await world.whileNoting(async () => {
      expect(await store.apply(failing(run), fence)).toEqual(BUSY);
      expect(await store.apply(completing(run), fence)).toEqual(BUSY);
      expect(await store.defer(deferring(run), fence)).toEqual(BUSY);
    });
    expect(await everything(world.sql)).toEqual(before);
    expect(await store.defer(deferring(run), fence)).toEqual(WRITTEN);
  });

  it("leaves the note to the other when it is only a note", async () => {
    await using world = await setup();
    const { store, fence, known: run } = world;
    await world.change(run.id, { overdueMin: 1 });
    const query = await queryOf(world);
    const before = await everything(world.sql);
    await world.whileNoting(async () => {
      await fail(world, run.id);
      await store.deferSkipped([run.id], query, { deferMs: HOUR_MS, shieldMs: 0 }, fence);
    });
    expect(await everything(world.sql)).toEqual(before);
  });

  it("forgets the others when it is told to forget ended runs", async () => {
    await using world = await setup();
    const { known: run } = world;
    const other = await world.add();
    await leave(world, other, DARK);
    for (const id of [run.id, other]) await world.change(id, { status: "COMPLETED" });
    await world.whileNoting(async () => {
      expect(await world.store.dropSuspicions(world.fence)).toBe(0);
    });
    expect(await world.remembered(other)).toBeNull();
    expect(await world.remembered(run.id)).toMatchObject({ presumedTimes: 1 });
  });
});

describe("two workers that both believe they lead", () => {
  it("keep the first one's note when its statement had started: the second is busy, then too late", async () => {
    await using world = await setup();
    const { store, known: run } = world;
    await using commits = await pauseCommits(world);
    await world.sql`
      CREATE TRIGGER pause AFTER UPDATE ON automation_runs
      FOR EACH ROW EXECUTE FUNCTION watchdog.pause()`;
    const first = store.defer(
      deferring(run, { suspicion: PRESUMED, deferMs: 2 * HOUR_MS }),
      world.fence,
    );
    await commits.waiting(1);
    const second = await world.takeOver();
    const late = deferring(run, { suspicion: DARK, deferMs: 2 * HOUR_MS });
    expect(await store.defer(late, second)).toEqual(BUSY);
    await commits.release();
    expect(await first).toEqual(WRITTEN);
    expect(await store.defer(late, second)).toEqual({ kind: "none" });
    expect(await world.remembered(run.id)).toMatchObject({ presumedTimes: 1, unknownTimes: 0 });
  });

  it("note a failure of the same run without an error, whoever is first", async () => {
    await using world = await setup();
    const id = await world.add();
    await Promise.all(Array.from({ length: 12 }, () => fail(world, id)));
    const { errorTimes = 0 } = (await world.remembered(id)) ?? {};
    expect(errorTimes).toBeGreaterThanOrEqual(1);
    expect(errorTimes).toBeLessThanOrEqual(12);
  });

  it("put the same runs off in any order without an error, each one once", async () => {
    await using world = await setup();
    const ids: string[] = [];
    for (let index = 0; index < 40; index += 1) ids.push(await world.add({ overdueMin: 3 }));
    const query = await queryOf(world);
    const orders = [ids, [...ids].reverse(), [...ids.slice(20), ...ids.slice(0, 20)]];
    await Promise.all(
      orders.map((order, at) =>
        world.store.deferSkipped(
          order,
          query,
          { deferMs: (at + 1) * HOUR_MS, shieldMs: 0 },
          world.fence,
        ),
      ),
    );
    const rows = await world.sql`
      SELECT count(*)::int AS runs, count(s.run_id)::int AS noted,
        count(*) FILTER (WHERE s.first_deadline_at < now() - interval '2 min')::int AS original
      FROM automation_runs r LEFT JOIN watchdog.suspicions s ON s.run_id = r.id
      WHERE r.timeout_at > now() AND r.id <> ${world.known.id}`;
    expect(rows).toEqual([{ runs: 40, noted: 40, original: 40 }]);
  });
});

describe("a write that has no effect on the run", () => {
  it("leaves no note behind", async () => {
    await using world = await setup();
    const id = await world.add();
    const run = await read(world, id);
    await world.sql.unsafe(`
      CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
      CREATE TRIGGER swallows BEFORE UPDATE ON automation_runs
        FOR EACH ROW EXECUTE FUNCTION swallow()`);
    const { store, fence } = world;
    const write = deferring(run, { suspicion: PRESUMED });
    expect(await store.defer(write, fence)).toEqual({ kind: "none" });
    await store.deferSkipped([id], await queryOf(world), { deferMs: HOUR_MS, shieldMs: 0 }, fence);
    expect(await world.remembered(id)).toBeNull();
  });

  it("keeps what is remembered when the verdict is refused", async () => {
    await using world = await setup();
    const { store, fence, known: run } = world;
    await world.sql`
      ALTER TABLE automation_runs ADD CONSTRAINT no_failures CHECK (status <> 'FAILED')`;
    expect(await store.apply(failing(run), fence)).toMatchObject({ kind: "refused" });
    expect(await world.remembered(run.id)).toMatchObject({ presumedTimes: 1 });
  });

  it("leaves all of many as they are when one of them is refused", async () => {
    await using world = await setup();
    const ids = [await world.add(), await world.add({ sandboxId: "poison" }), await world.add()];
    await world.sql`
      ALTER TABLE automation_runs ADD CONSTRAINT stays_overdue
      CHECK (sandbox_id <> 'poison' OR timeout_at < '2026-01-01') NOT VALID`;
    const before = await everything(world.sql);
    await world.store.deferSkipped(
      ids,
      await queryOf(world),
      { deferMs: HOUR_MS, shieldMs: 0 },
      world.fence,
    );
    expect(await everything(world.sql)).toEqual(before);
  });
});

/** A stand with a run that is remembered, as it was read. */
async function setup(): Promise<
  Awaited<ReturnType<typeof postgresStoreStand>> & {
    readonly known: RunSnapshot;
    /** Somebody else has the row locked in which the run is remembered. */
    whileNoting(work: () => Promise<void>): Promise<void>;
  }
> {
  const stand = await postgresStoreStand();
  const id = await stand.add();
  await leave(stand, id, PRESUMED);
  return {
    ...stand,
    known: await read(stand, id),
    async whileNoting(work) {
      await stand.sql.begin(async (tx) => {
        await tx`SELECT FROM watchdog.suspicions WHERE run_id = ${id} FOR UPDATE`;
        await work();
      });
    },
  };
}
