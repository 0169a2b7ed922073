import { describe, expect, it, vi } from "vitest";
import type { RunSnapshot } from "../../../../src/rules/model.ts";
import { observation } from "../../../../src/rules/suspicion.ts";
import { StoreUnavailableError } from "../../../../src/watchdog/errors.ts";
import type { WriteResult } from "../../../../src/watchdog/store-ports.ts";
import { type ResolvedWrite, resolveWrite } from "../../../../src/watchdog/sweep/resolve-write.ts";
import { seedRun } from "../../../fake-host/seed.ts";
import { pauseCommits } from "../../../races/paused-commit.ts";
import { createDatabase } from "../../../services/postgres/database.ts";
import { startTcpProxy } from "../../../services/tcp-proxy.ts";
import {
  deferring,
  failing,
  openStores,
  readRun,
  takeEpoch,
} from "../../../support/stands/stores.ts";

const WITHIN = { timeout: 20_000 };

describe("a write whose connection breaks", () => {
  it("is recognised by its journal row when it had been executed", async () => {
    await using world = await setup();
    const { resolved, attempts } = await world.resolveApply(world.cutAfterExecution);
    expect({ resolved, attempts }).toEqual({ resolved: { kind: "written" }, attempts: 1 });
    expect(await world.state()).toEqual({ status: "FAILED", entries: 1 });
  });

  it("is made once more when it had not been executed", async () => {
    await using world = await setup();
    const { resolved, attempts } = await world.resolveApply(world.cutBeforeExecution);
    expect({ resolved, attempts }).toEqual({ resolved: { kind: "written" }, attempts: 2 });
    expect(await world.state()).toEqual({ status: "FAILED", entries: 1 });
  });

  it("is a lost race when a callback came in between", async () => {
    await using world = await setup();
    const { resolved, attempts } = await world.resolveApply(async (write) => {
      try {
        return await world.cutBeforeExecution(write);
      } finally {
        await world.sql`UPDATE automation_runs SET status = 'COMPLETED'`;
      }
    });
    expect({ resolved, attempts }).toEqual({ resolved: { kind: "lost-race" }, attempts: 1 });
    expect(await world.state()).toEqual({ status: "COMPLETED", entries: 0 });
  });

  it("leaves a deferral alone that had been executed: the row is no longer what was read", async () => {
    await using world = await setup();
    const { store } = world.stores;
    let attempts = 0;
    const resolved = await resolveWrite(store, world.run, world.fence, false, () => {
      attempts += 1;
      const write = deferring(world.run, { suspicion: observation(null, "sandbox gone", 0) });
      return world.cutAfterExecution(() => store.defer(write, world.fence));
    });
    expect({ kind: resolved.kind, attempts }).toEqual({ kind: "lost-race", attempts: 1 });
    const rows = await world.sql`SELECT presumed_times FROM watchdog.suspicions`;
    expect(rows).toEqual([{ presumed_times: 1 }]);
    expect(await world.state()).toEqual({ status: "RUNNING", entries: 0 });
  });
});

type Write = () => Promise<WriteResult>;

interface LostWriteWorld extends AsyncDisposable {
  readonly sql: Awaited<ReturnType<typeof createDatabase>>["sql"];
  readonly stores: ReturnType<typeof openStores>;
  readonly run: RunSnapshot;
  readonly fence: Awaited<ReturnType<typeof takeEpoch>>;
  /** The server executes and commits the write; its answer never arrives. */
  cutAfterExecution(write: Write): Promise<WriteResult>;
  /** The write never gets to the server. */
  cutBeforeExecution(write: Write): Promise<WriteResult>;
  /** Resolves a failure; `cut` is what happens to its first attempt. */
  resolveApply(
    cut: (write: Write) => Promise<WriteResult>,
  ): Promise<{ readonly resolved: ResolvedWrite; readonly attempts: number }>;
  state(): Promise<unknown>;
}

async function setup(): Promise<LostWriteWorld> {
  await using resources = new AsyncDisposableStack();
  const database = resources.use(await createDatabase());
  const { sql } = database;
  const { host, port } = database.connection;
  const proxy = resources.use(await startTcpProxy({ host, port }));
  const connection = { ...database.connection, host: proxy.host, port: proxy.port };
  const stores = resources.use(openStores(connection, { size: 1 }));
  const fence = await takeEpoch(stores);
  const { id } = await seedRun(sql);
  const run = await readRun(stores, id);
  const { store } = stores;
  const opened = resources.move();
  return {
    sql,
    stores,
    run,
    fence,
    async cutAfterExecution(write) {
      await using commits = await pauseCommits(database);
      await sql`
        CREATE TRIGGER pause AFTER UPDATE ON automation_runs
        FOR EACH ROW EXECUTE FUNCTION watchdog.pause()`;
      const writing = write().catch((error: unknown) => error);
      await commits.waiting(1);
      proxy.blackhole();
      await commits.release();
      await vi.waitFor(async () => expect(await unchanged()).toBe(false), WITHIN);
      // Only now does the worker learn that its connection is gone.
      await proxy.heal();
      throw await lost(writing);
    },
    async cutBeforeExecution(write) {
      await using commits = await pauseCommits(database);
      const writing = write().catch((error: unknown) => error);
      const [pid] = await commits.waiting(1);
      await sql`SELECT pg_terminate_backend(${pid ?? 0}, 20000)`;
      throw await lost(writing);
    },
    async resolveApply(cut) {
      let attempts = 0;
      const write = () => store.apply(failing(run), fence);
      const resolved = await resolveWrite(store, run, fence, true, () => {
        attempts += 1;
        return attempts === 1 ? cut(write) : write();
      });
      return { resolved, attempts };
    },
    async state() {
      const [row] = await sql`
        SELECT status, (SELECT count(*)::int FROM watchdog.verdicts) AS entries FROM automation_runs`;
      return row;
    },
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };

  async function unchanged(): Promise<boolean> {
    const rows = await sql`
      SELECT FROM automation_runs
      WHERE status = 'RUNNING' AND timeout_at = ${run.timeoutAt}::text::timestamptz`;
    return rows.length === 1;
  }
}

async function lost(writing: Promise<unknown>): Promise<unknown> {
  const error = await writing;
  expect(error).toBeInstanceOf(StoreUnavailableError);
  return error;
}
