import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { completeRun } from "../../fake-host/callback.ts";
import { createWorld, exitedWith, randomCommandId, type World } from "../../support/world/world.ts";

describe("what a sweep does for the worker's own tables", () => {
  let world: World;

  beforeEach(async () => {
    world = await createWorld();
  });

  afterEach(async () => {
    await world[Symbol.asyncDispose]();
  });

  it("removes verdicts after WATCHDOG_JOURNAL_RETENTION, and keeps younger ones", async () => {
    const env = { WATCHDOG_JOURNAL_RETENTION: "2d" };
    const [old, young] = [await endedAgo("2 days 1 second"), await endedAgo("1 day 23:59:00")];
    await world.sweep({ env });
    expect(await journaled(old)).toBe(false);
    expect(await journaled(young)).toBe(true);
  });

  it("keeps verdicts whose sandbox is still to be deleted, however old", async () => {
    const runId = await endedAgo("10 years");
    await world.database.sql`
      UPDATE watchdog.verdicts SET cleanup_state = 'pending', cleanup_next_at = now() + interval '1 hour'`;
    await world.sweep();
    expect(await journaled(runId)).toBe(true);
  });

  it("forgets what is suspected of runs that are not RUNNING any more, and of no others", async () => {
    const { sql } = world.database;
    const [ended, running] = [await world.seed(), await world.seed()];
    expect((await world.sweep()).counts.deferred).toBe(2);
    expect(await sql`SELECT run_id FROM watchdog.suspicions`).toHaveLength(2);

    await completeRun(sql, { runId: ended.id, status: "COMPLETED" });
    await world.sweep();
    expect(await sql`SELECT run_id FROM watchdog.suspicions`).toEqual([{ run_id: running.id }]);
  });

  /** A run whose verdict lies so far back, with nothing left to do. */
  async function endedAgo(age: string): Promise<string> {
    const bashCommandId = randomCommandId();
    const outputs = [exitedWith(0, { bashCommandId })];
    const { id } = await world.seed({ bashCommandId }, { outputs });
    await world.sweep({ runIds: [id] });
    const { count } = await world.database.sql`
      UPDATE watchdog.verdicts SET decided_at = now() - ${age}::text::interval
      WHERE run_id = ${id} AND cleanup_state = 'done'`;
    expect(count).toBe(1);
    return id;
  }

  async function journaled(runId: string): Promise<boolean> {
    const rows = await world.database.sql`
      SELECT FROM watchdog.verdicts WHERE run_id = ${runId}`;
    return rows.length > 0;
  }
});
