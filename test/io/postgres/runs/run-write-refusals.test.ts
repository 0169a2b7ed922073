import { describe, expect, it, vi } from "vitest";
import type { RunSnapshot } from "../../../../src/rules/model.ts";
import type { Fence } from "../../../../src/watchdog/ports.ts";
import type { WriteResult } from "../../../../src/watchdog/store-ports.ts";
import { resolveWrite } from "../../../../src/watchdog/sweep/resolve-write.ts";
import { seedRun } from "../../../fake-host/seed.ts";
import { createDatabase, type TestDatabase } from "../../../services/postgres/database.ts";
import { createRole, WORKER_GRANTS } from "../../../services/postgres/database-role.ts";
import {
  completing,
  deferring,
  everything,
  failing,
  openStores,
  readRun,
  type TestStores,
  takeEpoch,
} from "../../../support/stands/stores.ts";

const NO_EFFECT = "the write had no effect (trigger or row security)";

describe("a write to a run that somebody else is writing", () => {
  it("is busy at once: the other transaction ends only after the answer", async () => {
    await using world = await setup();
    const before = await everything(world.database.sql);
    const held = Promise.withResolvers<void>();
    const locked = Promise.withResolvers<void>();
    const holding = world.database.sql.begin(async (tx) => {
      await tx`SELECT FROM automation_runs WHERE id = ${world.run.id} FOR NO KEY UPDATE`;
      locked.resolve();
      await held.promise;
    });
    await locked.promise;
    try {
      for (const answer of await world.writes()) expect(answer).toEqual({ kind: "busy" });
    } finally {
      held.resolve();
      await holding;
    }
    expect(await everything(world.database.sql)).toEqual(before);
  });

  it("goes through beside a transaction that only refers to the run", async () => {
    await using world = await setup();
    await world.database.sql.begin(async (tx) => {
      await tx`SELECT FROM automation_runs WHERE id = ${world.run.id} FOR KEY SHARE`;
      const { store, fence, run } = world;
      expect(await store.apply(failing(run), fence)).toEqual({ kind: "written" });
    });
  });
});

describe("a write under a fence that refuses", () => {
  it("rejects with what the fence threw, and sends nothing", async () => {
    await using world = await setup();
    const before = await everything(world.database.sql);
    const reason = new Error("the lease is lost");
    const fence: Fence = {
      shard: 0,
      epoch: world.fence.epoch,
      check() {
        throw reason;
      },
    };
    for (const write of world.allWrites(fence)) await expect(write()).rejects.toBe(reason);
    expect(await everything(world.database.sql)).toEqual(before);
  });

  it("asks the fence once for each write", async () => {
    await using world = await setup();
    const check = vi.fn();
    const fence = { ...world.fence, check };
    await world.store.apply(failing(world.run), fence);
    expect(check).toHaveBeenCalledOnce();
  });
});

describe("a write that the host's table refuses", () => {
  it("names the constraint and no data", async () => {
    await using world = await setup();
    await world.database.sql`
      ALTER TABLE automation_runs ADD CONSTRAINT no_failures
      CHECK (status <> 'FAILED' OR error_detail LIKE 'secret%')`;
    const before = await everything(world.database.sql);
    const answer = await world.store.apply(failing(world.run), world.fence);
    expect(answer).toEqual({
      kind: "refused",
      cause:
        'ending a run: SQLSTATE 23514, new row for relation "automation_runs" violates check constraint "no_failures"',
    });
    expect(await everything(world.database.sql)).toEqual(before);
  });

  it("says that a trigger raised it, and not what the trigger said", async () => {
    await using world = await setup();
    await world.addTrigger("RAISE EXCEPTION 'no: %', NEW.error_detail");
    const answer = await world.store.apply(failing(world.run), world.fence);
    expect(answer).toEqual({
      kind: "refused",
      cause: "ending a run: SQLSTATE P0001, raised by a trigger or function",
    });
  });

  it("names the column that must not be null", async () => {
    await using world = await setup();
    await world.addTrigger("NEW.status := NULL; RETURN NEW");
    expect(await world.store.apply(failing(world.run), world.fence)).toEqual({
      kind: "refused",
      cause:
        'ending a run: SQLSTATE 23502, null value in column "status" of relation "automation_runs" violates not-null constraint',
    });
  });

  it("refuses a text with NUL by its code, and the connection goes on working", async () => {
    await using world = await setup({ size: 1 });
    const { store, run, fence } = world;
    const bad = failing(run);
    const verdict = { ...bad.verdict, errorDetail: "Timed out: a\0b" } as typeof bad.verdict;
    expect(await store.apply({ ...bad, verdict }, fence)).toEqual({
      kind: "refused",
      cause: "ending a run: SQLSTATE 22021",
    });
    expect(await store.apply(bad, fence)).toEqual({ kind: "written" });
  });

  it("refuses status_detail that is no JSON, without showing it", async () => {
    await using world = await setup();
    const answer = await world.store.defer(
      deferring(world.run, { statusDetail: "{secret" }),
      world.fence,
    );
    expect(answer).toEqual({ kind: "refused", cause: "deferring a run: SQLSTATE 22P02" });
  });
});

describe("a write that has no effect", () => {
  it("is none when a trigger swallows it, and resolves to an error", async () => {
    await using world = await setup();
    await world.addTrigger("RETURN NULL");
    await world.expectSwallowed();
  });

  it("is none when row security hides it from updates, and resolves to an error", async () => {
    await using world = await setup();
    await using role = await createRole(world.database, WORKER_GRANTS);
    await using limited = openStores(role.connection);
    const { sql } = world.database;
    await sql`ALTER TABLE automation_runs ENABLE ROW LEVEL SECURITY`;
    await sql`CREATE POLICY seen ON automation_runs FOR SELECT USING (true)`;
    await sql`CREATE POLICY fixed ON automation_runs FOR UPDATE USING (false)`;
    await world.expectSwallowed(limited);
  });
});

interface RefusalWorld extends AsyncDisposable {
  readonly database: TestDatabase;
  readonly store: TestStores["store"];
  readonly run: RunSnapshot;
  readonly fence: Fence;
  allWrites(fence: Fence): readonly (() => Promise<WriteResult>)[];
  writes(): Promise<readonly WriteResult[]>;
  /** Runs this before every update of a run. */
  addTrigger(body: string): Promise<void>;
  expectSwallowed(stores?: TestStores): Promise<void>;
}

async function setup(options: { readonly size?: number } = {}): Promise<RefusalWorld> {
  await using resources = new AsyncDisposableStack();
  const database = resources.use(await createDatabase());
  const { sql, connection } = database;
  const stores = resources.use(openStores(connection, options));
  const { id } = await seedRun(sql);
  const run = await readRun(stores, id);
  const fence = await takeEpoch(stores);
  const opened = resources.move();
  const allWrites: RefusalWorld["allWrites"] = (own) => [
    () => stores.store.apply(completing(run), own),
    () => stores.store.apply(failing(run), own),
    () => stores.store.defer(deferring(run), own),
  ];
  return {
    database,
    store: stores.store,
    run,
    fence,
    allWrites,
    writes: () => Promise.all(allWrites(fence).map((write) => write())),
    async addTrigger(body) {
      await sql.unsafe(`
        CREATE FUNCTION interfere() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN ${body}; END $$;
        CREATE TRIGGER interferes BEFORE UPDATE ON automation_runs
          FOR EACH ROW EXECUTE FUNCTION interfere()`);
    },
    async expectSwallowed(own = stores) {
      const before = await everything(sql);
      for (const write of [failing(run), completing(run)]) {
        const resolved = await resolveWrite(own.store, run, fence, true, async () => {
          const answer = await own.store.apply(write, fence);
          expect(answer).toEqual({ kind: "none" });
          return answer;
        });
        expect(resolved).toEqual({ kind: "error", cause: NO_EFFECT });
      }
      const write = () => own.store.defer(deferring(run), fence);
      expect(await resolveWrite(own.store, run, fence, false, write)).toEqual({
        kind: "error",
        cause: NO_EFFECT,
      });
      expect(await everything(sql)).toEqual(before);
    },
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}
