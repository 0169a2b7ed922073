import { afterEach, describe, expect, it, vi } from "vitest";
import { Pool } from "../../../../src/io/postgres/connection/pool.ts";
import type { ConnectionOptions } from "../../../../src/io/postgres/connection/session.ts";
import { StoreUnavailableError } from "../../../../src/watchdog/errors.ts";
import { createDatabase } from "../../../services/postgres/database.ts";
import { startTcpProxy } from "../../../services/tcp-proxy.ts";
import { asking } from "../../../support/stands/asking.ts";
import { meeting } from "../../../support/stands/meeting.ts";
import { silentLog } from "../../../support/world/world.ts";

const CALLS = 6;

afterEach(() => void vi.useRealTimers());

describe("Pool", () => {
  it("lets calls beyond its size wait in order, and checks each when its turn has come", async () => {
    await using world = await setup(1);
    const gates = Array.from({ length: CALLS }, () => Promise.withResolvers<void>());
    const events: string[] = [];
    const calls = gates.map((gate, index) =>
      world.pool.run(
        `call ${index}`,
        async (connection) => {
          events.push(`sends ${index}`);
          await asking("SELECT 1")(connection);
          await gate.promise;
          events.push(`ends ${index}`);
        },
        () => void events.push(`checks ${index}`),
      ),
    );
    for (const [index, gate] of gates.entries()) {
      gate.resolve();
      await calls[index];
    }
    expect(events).toEqual(
      gates.flatMap((_, index) => [`checks ${index}`, `sends ${index}`, `ends ${index}`]),
    );
  });

  it("lets an urgent call wait for three of the others a connection, and no more", async () => {
    await using world = await setup(1);
    const gate = Promise.withResolvers<void>();
    const order: string[] = [];
    const call = (name: string, isUrgent: boolean) =>
      world.pool.run(
        name,
        async () => {
          order.push(name);
          await gate.promise;
        },
        undefined,
        isUrgent,
      );
    const calls = [
      ...["under way", "first", "second", "third", "fourth"].map((name) => call(name, false)),
      call("urgent", true),
      call("last", false),
    ];
    gate.resolve();
    await Promise.all(calls);
    expect(order).toEqual(["under way", "first", "second", "third", "urgent", "fourth", "last"]);
  });

  it("works on as many calls at once as it has connections, each on its own", async () => {
    await using world = await setup(3);
    const gate = Promise.withResolvers<void>();
    const arrivals = Array.from({ length: 3 }, () => Promise.withResolvers<number>());
    const calls = arrivals.map((arrival) =>
      world.pool.run("asking", async (connection) => {
        const [row] = await asking<{ readonly pid: number }>("SELECT pg_backend_pid() AS pid")(
          connection,
        );
        arrival.resolve(row?.pid ?? 0);
        await gate.promise;
      }),
    );
    const pids = await Promise.all(arrivals.map(({ promise }) => promise));
    gate.resolve();
    await Promise.all(calls);
    expect(new Set(pids).size).toBe(3);
  });

  it("tells how many of its places are in use, and how many calls wait for one", async () => {
    await using world = await setup(2);
    const gate = Promise.withResolvers<void>();
    const begun = Array.from({ length: 2 }, () => Promise.withResolvers<void>());
    const calls = [0, 1, 2].map((index) =>
      world.pool.run("waiting", async () => {
        begun[index]?.resolve();
        await gate.promise;
      }),
    );
    await Promise.all(begun.map(({ promise }) => promise));
    expect(world.pool.use).toEqual({ size: 2, inUse: 2, waiting: 1, leftBehind: 0 });
    gate.resolve();
    await Promise.all(calls);
    expect(world.pool.use).toEqual({ size: 2, inUse: 0, waiting: 0, leftBehind: 0 });
  });

  it("sends nothing when the check refuses, and gives the connection to the next call", async () => {
    await using world = await setup(1);
    const reason = new Error("the lease is lost");
    let sent = false;
    const refused = world.pool.run(
      "asking",
      async () => {
        sent = true;
      },
      () => {
        throw reason;
      },
    );
    await expect(refused).rejects.toBe(reason);
    expect(sent).toBe(false);
    await expect(world.one()).resolves.toBe(1);
  });

  it("gives the connection on after a call that failed", async () => {
    await using world = await setup(1);
    const failing = world.pool.run("asking", asking("SELECT 1 / 0"));
    const next = world.one();
    await expect(failing).rejects.toThrow("asking: SQLSTATE 22012");
    await expect(next).resolves.toBe(1);
  });

  it("answers all that wait with one attempt when no session can be had", async () => {
    await using world = await setup(8, { callDeadlineMs: 1000 });
    world.proxy.blackhole();
    const calls = Array.from({ length: 256 }, (_, index) => world.one(`call ${index}`));
    for (const [index, outcome] of (await Promise.allSettled(calls)).entries()) {
      expect(outcome).toMatchObject({
        reason: { message: expect.stringMatching(new RegExp(`^call ${index}: connecting to`)) },
      });
    }
    expect(world.attempts()).toBe(1);
    await world.proxy.heal();
    await expect(world.one()).resolves.toBe(1);
  });

  it("answers all that wait with one attempt when its sessions have fallen silent", async () => {
    await using world = await setup(2, { callDeadlineMs: 1000 });
    await world.open(2);
    const before = world.attempts();
    world.proxy.blackhole();
    const calls = Array.from({ length: 256 }, () => world.one());
    for (const outcome of await Promise.allSettled(calls)) {
      expect(outcome).toMatchObject({ reason: expect.any(StoreUnavailableError) });
    }
    expect(world.attempts() - before).toBe(1);
  });

  it("opens its sessions side by side once one could be had", async () => {
    await using world = await setup(3);
    await world.open(3);
    expect(world.attempts()).toBe(3);
  });

  it("opens another session for a call that has waited for 50 ms, and not before", async () => {
    await using world = await setup(3);
    await world.one();
    const gate = Promise.withResolvers<void>();
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const underWay = world.pool.run("under way", () => gate.promise);
    const waiting = [world.one(), world.one()];
    await Promise.resolve();
    vi.advanceTimersByTime(49);
    expect(world.pool.use).toMatchObject({ inUse: 1, waiting: 2 });
    vi.advanceTimersByTime(1);
    expect(world.pool.use).toMatchObject({ inUse: 2, waiting: 1 });
    // What connects needs real ones.
    vi.useRealTimers();
    // Both by the new one.
    expect(await Promise.all(waiting)).toEqual([1, 1]);
    expect(world.attempts()).toBe(2);
    gate.resolve();
    await underWay;
  });

  it("answers many quick calls with the one that it has", async () => {
    await using world = await setup(8);
    await world.one();
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    await Promise.all(Array.from({ length: 20 }, () => world.one()));
    vi.useRealTimers();
    expect(world.attempts()).toBe(1);
  });

  it("refuses those that wait when it closes, and lets a call end that is under way", async () => {
    await using world = await setup(1);
    const gate = Promise.withResolvers<void>();
    const begun = Promise.withResolvers<void>();
    const underWay = world.pool.run("asking", async (connection) => {
      const answer = asking("SELECT pg_sleep(0.2)")(connection);
      begun.resolve();
      await answer;
      await gate.promise;
      return "done";
    });
    await begun.promise;
    const waiting = world.one();
    const closing = world.pool.close(20_000);
    await expect(waiting).rejects.toThrow(StoreUnavailableError);
    gate.resolve();
    await expect(underWay).resolves.toBe("done");
    await closing;
    await expect(world.one()).rejects.toThrow("asking: the pool is closed");
  });

  it("breaks off a call that outlasts the time it is given when it closes", async () => {
    await using world = await setup(1);
    const begun = Promise.withResolvers<void>();
    const call = world.pool.run("asking", (connection) => {
      begun.resolve();
      return asking("SELECT pg_sleep(60)")(connection);
    });
    const broken = expect(call).rejects.toThrow(StoreUnavailableError);
    await begun.promise;
    await world.pool.close(50);
    await broken;
  });

  it("leaves no connection behind that was being opened when it closed", async () => {
    await using world = await setup(2);
    const calls = [world.one(), world.one()].map((call) => call.catch((error: unknown) => error));
    await world.pool.close(20_000);
    for (const outcome of await Promise.all(calls)) {
      expect(outcome === 1 || outcome instanceof StoreUnavailableError).toBe(true);
    }
    expect(await world.connections()).toBe(0);
  });
});

async function setup(size: number, changes: Partial<ConnectionOptions> = {}) {
  await using resources = new AsyncDisposableStack();
  const database = resources.use(await createDatabase());
  const { host, port } = database.connection;
  const proxy = resources.use(await startTcpProxy({ host, port }));
  const address = { host: proxy.host, port: proxy.port };
  let attempts = 0;
  const endpoint = () => {
    attempts += 1;
    return { ...database.connection, ...address, ...changes };
  };
  const pool = new Pool({ endpoint, size, pooler: "off" }, silentLog);
  resources.defer(() => pool.close(100));
  const opened = resources.move();
  return {
    pool,
    proxy,
    /** To open a session. */
    attempts: () => attempts,
    /** Has so many sessions, if there were none. */
    async open(count: number): Promise<void> {
      const meet = meeting(count);
      await Promise.all(Array.from({ length: count }, () => pool.run("meeting", meet)));
    },
    async one(operation = "asking"): Promise<number | undefined> {
      const rows = await pool.run(operation, asking<{ readonly one: number }>("SELECT 1 AS one"));
      return rows[0]?.one;
    },
    /** Of the worker, as the server sees them once those that were told to go have gone. */
    async connections(): Promise<number> {
      const { sql: admin } = database;
      let found = 0;
      for (let look = 0; look < 50; look += 1) {
        const rows = await admin`
          SELECT FROM pg_stat_activity
          WHERE datname = current_database() AND application_name = 'run-watchdog'`;
        found = rows.length;
        if (found === 0) break;
        await admin`SELECT pg_sleep(0.1)`;
      }
      return found;
    },
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}
