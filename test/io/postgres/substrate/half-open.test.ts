import { describe, expect, it, vi } from "vitest";
import { StoreUnavailableError } from "../../../../src/watchdog/errors.ts";
import { resolveWrite } from "../../../../src/watchdog/sweep/resolve-write.ts";
import { seedRun } from "../../../fake-host/seed.ts";
import { pauseCommits } from "../../../races/paused-commit.ts";
import { createDatabase } from "../../../services/postgres/database.ts";
import { startTcpProxy } from "../../../services/tcp-proxy.ts";
import { asking } from "../../../support/stands/asking.ts";
import { meeting } from "../../../support/stands/meeting.ts";
import {
  failing,
  openStores,
  readRun,
  type TestStores,
  takeEpoch,
} from "../../../support/stands/stores.ts";

const WITHIN = { timeout: 20_000 };
/** Long enough for a busy machine, short enough for a test. */
const SHORT_MS = 2000;
const LONG_MS = 60_000;

describe("a connection that falls silent in the middle of a write", () => {
  it("is given up; what the server still does with it makes the second attempt busy, not a second verdict", async () => {
    await using world = await setup({ callDeadlineMs: SHORT_MS });
    const { stores, database } = world;
    const { store } = stores;
    const { id } = await seedRun(database.sql);
    const fence = await takeEpoch(stores);
    const run = await readRun(stores, id);
    await using commits = await pauseCommits(database);
    const resolving = resolveWrite(store, run, fence, true, () => store.apply(failing(run), fence));
    await commits.waiting(1);
    world.proxy.blackhole();
    expect(await resolving).toEqual({ kind: "busy" });
    await commits.release();
    await vi.waitFor(async () => {
      const [row] = await database.sql`
        SELECT status, (SELECT count(*)::int FROM watchdog.verdicts) AS verdicts
        FROM automation_runs`;
      expect(row).toEqual({ status: "FAILED", verdicts: 1 });
    }, WITHIN);
  });
});

describe("calls beside a connection that fell silent", () => {
  it("are answered on the others", async () => {
    await using world = await setup({ callDeadlineMs: LONG_MS });
    const { stores } = world;
    await ask(stores);
    world.proxy.blackhole();
    const silent = ask(stores).catch(String);
    await Promise.all(Array.from({ length: 6 }, () => ask(stores)));
    await world.proxy.heal();
    expect(await silent).toMatch(/ECONNRESET|CONNECTION_CLOSED/);
  });

  it("that wait for it are answered on the next one, after its deadline", async () => {
    await using world = await setup({ callDeadlineMs: SHORT_MS, size: 1 });
    const { stores } = world;
    await ask(stores);
    world.proxy.blackhole();
    const silent = ask(stores).catch(String);
    await Promise.all(Array.from({ length: 6 }, () => ask(stores)));
    expect(await silent).toMatch(/no answer from Postgres within 2000 ms$/);
  });

  it("come to an end when all are silent and no new one can be had, and are answered after that", async () => {
    await using world = await setup({
      callDeadlineMs: SHORT_MS,
      behindProxy: Number.POSITIVE_INFINITY,
    });
    const { stores } = world;
    const meet = meeting(2);
    await Promise.all([1, 2].map(() => stores.database.run("meeting", meet)));
    world.proxy.blackhole();
    const outcomes = await Promise.allSettled(Array.from({ length: 5 }, () => ask(stores)));
    for (const [index, outcome] of outcomes.entries()) {
      expect(outcome).toMatchObject({
        status: "rejected",
        reason: expect.any(StoreUnavailableError),
      });
      // Those that had a session; what could not get one is no statement's own trouble.
      expect(outcome).toMatchObject({ reason: { late: index < 2 } });
    }
    await world.proxy.heal();
    await Promise.all(Array.from({ length: 5 }, () => ask(stores)));
  });
});

interface SetupOptions {
  readonly callDeadlineMs: number;
  readonly size?: number;
  /** How many sessions, the first ones, go through the proxy; default 1, the others go straight to the server. */
  readonly behindProxy?: number;
}

async function setup({ callDeadlineMs, size = 2, behindProxy = 1 }: SetupOptions) {
  await using resources = new AsyncDisposableStack();
  const database = resources.use(await createDatabase());
  const straight = { ...database.connection, callDeadlineMs };
  const proxy = resources.use(await startTcpProxy(straight));
  let sessions = 0;
  const endpoint = () => {
    sessions += 1;
    return sessions <= behindProxy ? { ...straight, host: proxy.host, port: proxy.port } : straight;
  };
  const stores = resources.use(openStores(straight, { endpoint, size }));
  const opened = resources.move();
  return { database, proxy, stores, [Symbol.asyncDispose]: () => opened.disposeAsync() };
}

function ask({ database }: TestStores): Promise<unknown> {
  return database.run("asking", asking("SELECT 1"));
}
