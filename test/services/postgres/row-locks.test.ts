import { setTimeout as sleep } from "node:timers/promises";
import postgres, { type Sql } from "postgres";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { seedRun } from "../../fake-host/seed.ts";
import { createDatabase, type TestDatabase } from "./database.ts";
import { RowLocks } from "./row-locks.ts";

let database: TestDatabase;
/** What is watched. */
let worker: Sql;
let runId: string;

beforeAll(async () => {
  database = await createDatabase();
  const connection = { application_name: "run-watchdog" };
  worker = postgres(database.url, { max: 2, connection, fetch_types: false });
  runId = (await seedRun(database.sql)).id;
});

afterAll(async () => {
  await worker.end({ timeout: 1 });
  await database[Symbol.asyncDispose]();
});

describe("RowLocks", () => {
  it("measures no more than the time for which a row was locked, and not much less", async () => {
    await using locks = new RowLocks(database.url, "run-watchdog");
    const lockedMs = await holdFor(200, locks);
    const longestMs = await locks.end();
    expect(longestMs).toBeLessThanOrEqual(lockedMs);
    expect(longestMs).toBeGreaterThanOrEqual(200);
  });

  it("counts no transaction that has written nothing, however long it is open", async () => {
    await using locks = new RowLocks(database.url, "run-watchdog");
    await worker.begin(async (transaction) => {
      await transaction`SELECT id FROM automation_runs WHERE id = ${runId}`;
      await locks.looked(3);
    });
    expect(await locks.end()).toBe(0);
  });

  it("counts nobody else's", async () => {
    await using locks = new RowLocks(database.url, "another-application");
    await holdFor(10, locks);
    expect(await locks.end()).toBe(0);
  });
});

/** Holds the row's lock until it was met, so long at least, and then until it was met again. @returns for how long. */
async function holdFor(ms: number, locks: RowLocks): Promise<number> {
  const startedMs = performance.now();
  await worker.begin(async (transaction) => {
    await transaction`UPDATE automation_runs SET error_detail = 'held' WHERE id = ${runId}`;
    await locks.looked(1);
    await sleep(ms);
    await locks.looked(1);
  });
  return performance.now() - startedMs;
}
