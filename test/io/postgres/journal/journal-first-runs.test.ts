import { randomUUID } from "node:crypto";
import { describe, expect, it } from "vitest";
import type { FirstRunTask } from "../../../../src/watchdog/journal-ports.ts";
import type { Fence } from "../../../../src/watchdog/ports.ts";
import { seedAutomation, seedRun } from "../../../fake-host/seed.ts";
import { createDatabase } from "../../../services/postgres/database.ts";
import {
  completing,
  everything,
  failing,
  openStores,
  readRun,
  takeEpoch,
} from "../../../support/stands/stores.ts";

const WAITING = '{"template":  "t", "text": "\\u0000"}';
const RECORDED = '{"template":  "t", "text": "\\u0000", "first_run": {"outcome": "success"}}';

describe("PostgresJournal.openFirstRuns", () => {
  it("tells of each automation once, with the outcome of its first run", async () => {
    await using world = await setup();
    const automation = await world.waiting();
    await world.ended(automation, "FAILED");
    await world.ended(automation, "COMPLETED");
    expect(await world.stores.journal.openFirstRuns(null, 10, 0)).toEqual([
      {
        automationId: automation.id,
        runId: expect.any(String),
        basis: "presumption",
        outcome: "FAILED",
        metadata: WAITING,
        readAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00$/),
      },
    ]);
  });

  it("gives pages of every size in the order of the automations, each once", async () => {
    await using world = await setup();
    const ids: string[] = [];
    for (let index = 0; index < 5; index += 1) {
      const automation = await world.waiting();
      ids.push(automation.id);
      await world.ended(automation, "COMPLETED");
      await world.ended(automation, "FAILED");
    }
    ids.sort();
    for (let size = 1; size <= 6; size += 1) {
      const seen: string[] = [];
      while (true) {
        const page = await world.stores.journal.openFirstRuns(seen.at(-1) ?? null, size, 0);
        seen.push(...page.map(({ automationId }) => automationId));
        if (page.length < size) break;
      }
      expect(seen).toEqual(ids);
    }
  });

  it("says null for an automation that is gone, or whose metadata is", async () => {
    await using world = await setup();
    const [gone, emptied] = [await world.waiting(), await world.waiting()];
    for (const automation of [gone, emptied]) await world.ended(automation, "COMPLETED");
    await world.sql`DELETE FROM automations WHERE id = ${gone.id}`;
    await world.sql`UPDATE automations SET preset_metadata = NULL WHERE id = ${emptied.id}`;
    const tasks = await world.stores.journal.openFirstRuns(null, 10, 0);
    expect(tasks.map(({ metadata }) => metadata)).toEqual([null, null]);
  });

  it("is empty for automations that wait for nothing, and where the host has no metadata", async () => {
    await using world = await setup();
    const automation = await seedAutomation(world.sql, { presetMetadata: { other: 1 } });
    await world.ended(automation, "COMPLETED");
    expect(await world.stores.journal.openFirstRuns(null, 10, 0)).toEqual([]);
    const waiting = await world.waiting();
    await world.ended(waiting, "COMPLETED");
    await world.sql`ALTER TABLE automations DROP COLUMN preset_metadata`;
    await using upgraded = openStores(world.connection);
    expect(await upgraded.journal.openFirstRuns(null, 10, 0)).toEqual([]);
  });
});

describe("PostgresJournal.recordFirstRun", () => {
  it("writes byte for byte what it is given, and touches the automation", async () => {
    await using world = await setup();
    const task = await world.open();
    await world.sql`UPDATE automations SET updated_at = now() - interval '1 hour'`;
    expect(await world.stores.journal.recordFirstRun(task, RECORDED, world.fence)).toBe(true);
    expect(await world.automation(task)).toEqual({ metadata: RECORDED, touched: true });
  });

  it("writes where the host has no updated_at", async () => {
    await using world = await setup();
    const task = await world.open();
    await world.sql`ALTER TABLE automations DROP COLUMN updated_at`;
    await using stores = openStores(world.connection);
    expect(await stores.journal.recordFirstRun(task, RECORDED, world.fence)).toBe(true);
  });

  it("writes nothing when a single space of the metadata changed", async () => {
    await using world = await setup();
    const task = await world.open();
    await world.sql`UPDATE automations SET preset_metadata = ${WAITING.replace("  ", " ")}::text::json`;
    await world.expectUnwritten(task);
  });

  it.each([
    ["the automation is gone", "DELETE FROM automations"],
    ["its metadata is gone", "UPDATE automations SET preset_metadata = NULL"],
  ])("writes nothing when %s", async (_, change) => {
    await using world = await setup();
    const task = await world.open();
    await world.sql.unsafe(change);
    await world.expectUnwritten(task);
  });

  it("answers at once, and false, while somebody else is writing the automation", async () => {
    await using world = await setup();
    const task = await world.open();
    const done = Promise.withResolvers<void>();
    const holds = Promise.withResolvers<void>();
    const holding = world.sql.begin(async (tx) => {
      await tx`SELECT FROM automations WHERE id = ${task.automationId} FOR NO KEY UPDATE`;
      holds.resolve();
      await done.promise;
    });
    await holds.promise;
    await world.expectUnwritten(task).finally(() => done.resolve());
    await holding;
  });

  it("writes nothing under an older epoch, and sends nothing when the fence refuses", async () => {
    await using world = await setup();
    const task = await world.open();
    await takeEpoch(world.stores);
    await world.expectUnwritten(task);
    const before = await everything(world.sql);
    await world.stores.journal.firstRunDone(task.automationId, world.fence);
    const reason = new Error("the lease is lost");
    const refusing: Fence = {
      shard: 0,
      epoch: world.fence.epoch + 1,
      check() {
        throw reason;
      },
    };
    const { journal } = world.stores;
    await expect(journal.recordFirstRun(task, RECORDED, refusing)).rejects.toBe(reason);
    await expect(journal.firstRunDone(task.automationId, refusing)).rejects.toBe(reason);
    expect(await everything(world.sql)).toEqual(before);
  });
});

describe("PostgresJournal.firstRunDone", () => {
  it("closes every open verdict of the automation, and no other's", async () => {
    await using world = await setup();
    const [ours, other] = [await world.waiting(), await world.waiting()];
    await world.ended(ours, "COMPLETED");
    await world.ended(ours, "FAILED");
    await world.ended(other, "COMPLETED");
    await world.stores.journal.firstRunDone(ours.id, world.fence);
    const open = await world.stores.journal.openFirstRuns(null, 10, 0);
    expect(open.map(({ automationId }) => automationId)).toEqual([other.id]);
    const states = await world.sql`
      SELECT first_run_state AS state, count(*)::int FROM watchdog.verdicts
      WHERE automation_id = ${ours.id} GROUP BY 1`;
    expect(states).toEqual([{ state: "done", count: 2 }]);
  });

  it("accepts an automation of which nothing is open", async () => {
    await using world = await setup();
    await expect(
      world.stores.journal.firstRunDone(randomUUID(), world.fence),
    ).resolves.toBeUndefined();
  });
});

async function setup() {
  await using resources = new AsyncDisposableStack();
  const { sql, connection } = resources.use(await createDatabase());
  const stores = resources.use(openStores(connection));
  const fence = await takeEpoch(stores);
  const opened = resources.move();
  const world = {
    sql,
    connection,
    stores,
    fence,
    /** An automation whose first outcome is still to be recorded. */
    async waiting() {
      const automation = await seedAutomation(sql);
      await sql`UPDATE automations SET preset_metadata = ${WAITING}::text::json WHERE id = ${automation.id}`;
      return automation;
    },
    async ended(of: Awaited<ReturnType<typeof seedAutomation>>, outcome: "COMPLETED" | "FAILED") {
      const { id } = await seedRun(sql, { of });
      const run = await readRun(stores, id);
      await stores.store.apply(outcome === "FAILED" ? failing(run) : completing(run), fence);
    },
    /** The task of an automation whose first run has ended. */
    async open(): Promise<FirstRunTask> {
      await world.ended(await world.waiting(), "COMPLETED");
      const [task] = await stores.journal.openFirstRuns(null, 1, 0);
      if (task === undefined) throw new Error("no first run is open");
      return task;
    },
    async automation({ automationId }: FirstRunTask) {
      const [row] = await sql`
        SELECT preset_metadata::text AS metadata, updated_at > now() - interval '1 minute' AS touched
        FROM automations WHERE id = ${automationId}`;
      return row;
    },
    async expectUnwritten(task: FirstRunTask) {
      const before = await everything(sql);
      expect(await stores.journal.recordFirstRun(task, RECORDED, fence)).toBe(false);
      expect(await everything(sql)).toEqual(before);
    },
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
  return world;
}
