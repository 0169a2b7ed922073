import postgres, { type Sql, type TransactionSql } from "postgres";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { seedRun } from "../../fake-host/seed.ts";
import { createDatabase, type TestDatabase } from "./database.ts";
import { LockWatch } from "./lock-watch.ts";

const HOUR_MS = 3_600_000;
const PATIENCE = { timeout: 90_000 };

let database: TestDatabase;
let sql: Sql;
/** What is watched. */
let worker: Sql;
let runId: string;

beforeAll(async () => {
  database = await createDatabase();
  sql = database.sql;
  const connection = { application_name: "run-watchdog" };
  worker = postgres(database.url, { max: 2, connection, fetch_types: false });
});

afterAll(async () => {
  await worker.end({ timeout: 1 });
  await database[Symbol.asyncDispose]();
});

beforeEach(async () => {
  runId = (await seedRun(sql)).id;
});

describe("LockWatch", () => {
  it("sees nothing where the worker's transactions end at once", async () => {
    await using watch = new LockWatch(database.url);
    await fail(worker, runId);
    const figures = await watch.end();
    expect(figures).toMatchObject({ idleInTransaction: 0, blockedWriters: 0 });
    expect(figures.samples).toBeGreaterThan(0);
  });

  it("sees a transaction that the worker left open after an error", async () => {
    await using watch = new LockWatch(database.url);
    const left = worker.begin(async (transaction) => {
      await expect(transaction`SELECT 1 / 0`).rejects.toThrow("division by zero");
      await expect.poll(() => watch.figures.idleInTransaction, PATIENCE).toBeGreaterThan(0);
    });
    await expect(left).rejects.toThrow("division by zero");
  });
});

describe("LockWatch counts a writer that waits for a worker", () => {
  it("whose transaction is idle", async () => {
    await using watch = new LockWatch(database.url, { longestMs: HOUR_MS });
    const writing = await worker.begin(async (transaction) => {
      await fail(transaction, runId);
      const writer = write(runId);
      await untilCounted(watch);
      return { writer };
    });
    await writing.writer;
    expect((await watch.end()).idleInTransaction).toBeGreaterThan(0);
  });

  it("that waits for another lock itself", async () => {
    const { id: otherId } = await seedRun(sql);
    await using watch = new LockWatch(database.url, { longestMs: HOUR_MS });
    const waiting = await sql.begin(async (transaction) => {
      await fail(transaction, otherId);
      const behind = worker.begin(async (second) => {
        await fail(second, runId);
        await fail(second, otherId);
      });
      await untilLocked(runId);
      const writer = write(runId);
      await untilCounted(watch);
      return { all: [behind, writer] };
    });
    await Promise.all(waiting.all);
  });

  it("that waits for its client in the middle of a statement", async () => {
    await using watch = new LockWatch(database.url, { longestMs: HOUR_MS });
    const waiting = await worker.begin(async (transaction) => {
      await fail(transaction, runId);
      const input = await transaction`COPY automations FROM STDIN`.writable();
      const writer = write(runId);
      await untilCounted(watch);
      await new Promise<void>((resolve) => input.end(resolve));
      return { writer };
    });
    await waiting.writer;
  });

  it("whose statement takes longer than it may", async () => {
    await using watch = new LockWatch(database.url, { longestMs: 100 });
    const statement = workAtLength(worker, runId);
    await untilLocked(runId);
    const writer = write(runId);
    await untilCounted(watch);
    await cancelWorker();
    await expect(statement).rejects.toThrow("canceling statement");
    await writer;
  });

  it("whose transaction of short statements takes longer than it may", async () => {
    await using watch = new LockWatch(database.url, { longestMs: 2000 });
    const waiting = await worker.begin(async (transaction) => {
      await fail(transaction, runId);
      const work = () => transaction`SELECT pg_sleep(0.2)`.execute();
      await work();
      // The writer comes when a statement is under way: between two of them nobody looks twice.
      const working = work();
      const writer = write(runId);
      await working;
      while (watch.figures.blockedWriters === 0) await work();
      return { writer };
    });
    await waiting.writer;
  });
});

describe("LockWatch does not count", () => {
  it("a writer that waits for a statement at work", async () => {
    await using watch = new LockWatch(database.url, { longestMs: HOUR_MS, everyMs: 1 });
    const statement = workAtLength(worker, runId);
    await untilLocked(runId);
    const writer = write(runId);
    await untilSampledWaiting(watch, "postgres.js");
    await cancelWorker();
    await expect(statement).rejects.toThrow("canceling statement");
    await writer;
    expect(await watch.end()).toMatchObject({ idleInTransaction: 0, blockedWriters: 0 });
  });

  it("a writer that waits for somebody else", async () => {
    await using watch = new LockWatch(database.url, { longestMs: 0, everyMs: 1 });
    const waiting = await sql.begin(async (transaction) => {
      await fail(transaction, runId);
      const writer = write(runId);
      await untilSampledWaiting(watch, "postgres.js");
      return { writer };
    });
    await waiting.writer;
    expect(await watch.end()).toMatchObject({ idleInTransaction: 0, blockedWriters: 0 });
  });

  it("a worker that waits for a writer", async () => {
    await using watch = new LockWatch(database.url, { longestMs: 0, everyMs: 1 });
    const waiting = await sql.begin(async (transaction) => {
      await fail(transaction, runId);
      const behind = fail(worker, runId);
      await untilSampledWaiting(watch, "run-watchdog");
      return { behind };
    });
    await waiting.behind;
    expect(await watch.end()).toMatchObject({ idleInTransaction: 0, blockedWriters: 0 });
  });
});

async function fail(by: Sql | TransactionSql, id: string): Promise<void> {
  await by`UPDATE automation_runs SET status = 'FAILED' WHERE id = ${id}`;
}

function write(id: string): Promise<unknown> {
  return sql`UPDATE automation_runs SET cost = 1 WHERE id = ${id}`.execute();
}

/** One statement that has locked the row and goes on. */
function workAtLength(by: Sql, id: string): Promise<unknown> {
  const statement = by`
    WITH locked AS (UPDATE automation_runs SET status = 'FAILED' WHERE id = ${id} RETURNING id)
    SELECT pg_sleep(600) FROM locked`.execute();
  statement.catch(() => undefined);
  return statement;
}

async function untilLocked(id: string): Promise<void> {
  const look = () => sql`SELECT id FROM automation_runs WHERE id = ${id} FOR UPDATE SKIP LOCKED`;
  await expect.poll(look, PATIENCE).toHaveLength(0);
}

async function untilCounted(watch: LockWatch): Promise<void> {
  await expect.poll(() => watch.figures.blockedWriters, PATIENCE).toBeGreaterThan(0);
}

/** A session of this name waits for a lock, and the watch has looked several times since. */
async function untilSampledWaiting(watch: LockWatch, application: string): Promise<void> {
  const look = () => sql`
    SELECT FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = ${application}
      AND wait_event_type = 'Lock'`;
  await expect.poll(look, PATIENCE).toHaveLength(1);
  const { samples } = watch.figures;
  await expect.poll(() => watch.figures.samples, PATIENCE).toBeGreaterThan(samples + 5);
}

async function cancelWorker(): Promise<void> {
  await sql`
    SELECT pg_cancel_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'run-watchdog' AND state = 'active'`;
}
