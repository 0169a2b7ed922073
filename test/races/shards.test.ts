/** Whoever divides the runs anew, pauses the fleet or begins a shard's sweep at the same moment as somebody else. */
import type { Sql, TransactionSql } from "postgres";
import { describe, expect, it, vi } from "vitest";
import type { Fence } from "../../src/watchdog/ports.ts";
import type { EpochAnswer } from "../../src/watchdog/store-ports.ts";
import { createDatabase } from "../services/postgres/database.ts";
import {
  epochRequest,
  FREELY,
  noCheck,
  openStores,
  type TestStores,
  takeEpoch,
} from "../support/stands/stores.ts";

const COUNT = 4;
const SHARD = { index: 1, count: COUNT };

describe("the epoch of a shard", () => {
  it("is refused when it waits for a pause to commit", async () => {
    await using world = await setup();
    const answer = await world.beginDuring(
      (tx) => tx`
        WITH paused AS (
          UPDATE watchdog.leadership SET epoch = epoch + 1, paused_until = now() + interval '1 hour'
          RETURNING epoch)
        UPDATE watchdog.shards SET epoch = shards.epoch + 1 FROM paused`,
    );
    expect(answer).toMatchObject({ kind: "paused" });
  });

  it("is refused when it waits for somebody who divides the runs anew", async () => {
    await using world = await setup();
    const answer = await world.beginDuring(
      (tx) => tx`
        WITH begun AS (
          UPDATE watchdog.leadership SET epoch = epoch + 1, lease_kind = 'redis/2' RETURNING epoch)
        UPDATE watchdog.shards SET epoch = shards.epoch + 1 FROM begun`,
    );
    expect(answer).toEqual({
      kind: "other-lease-kind",
      noted: { leaseKind: "redis", shards: 2 },
    });
  });

  it("is taken away by a pause that has waited for it", async () => {
    await using world = await setup();
    const fence = await world.whileBegun(() => {
      return world.stores.fleet.pause({ forMs: 3_600_000, reason: "later", by: "ann@host" });
    });
    expect(await world.stores.leadership.progress(fence, FREELY)).toBe(false);
  });

  it("is taken away by a new division that has waited for it", async () => {
    await using world = await setup();
    const other = epochRequest({ trigger: "once", shards: 2, otherKindAfterMs: 0 });
    const fence = await world.whileBegun(() => world.stores.leadership.begin(other, noCheck));
    expect(await world.stores.leadership.progress(fence, FREELY)).toBe(false);
    expect(await world.begin()).toMatchObject({ kind: "other-lease-kind" });
  });

  it("is handed out to two shards at the same time, and neither waits for the other", async () => {
    await using world = await setup();
    const second = await takeEpoch(world.stores, { ...SHARD, index: 2 });
    await world.sql.begin(async (tx) => {
      await tx`SELECT FROM watchdog.leadership FOR SHARE`;
      await tx`SELECT FROM watchdog.shards WHERE shard = 2 FOR NO KEY UPDATE`;
      expect(await world.begin()).toMatchObject({ kind: "begun" });
    });
    expect(await world.stores.leadership.progress(second, FREELY)).toBe(true);
  });
});

async function setup() {
  await using resources = new AsyncDisposableStack();
  const { sql, connection } = resources.use(await createDatabase());
  const stores: TestStores = resources.use(openStores(connection));
  await takeEpoch(stores, { index: 0, count: COUNT });
  const opened = resources.move();
  const request = epochRequest({ trigger: "once", shard: SHARD.index, shards: COUNT });
  const begin = (): Promise<EpochAnswer> => stores.leadership.begin(request, noCheck);
  return {
    sql,
    stores,
    begin,
    /** Somebody else's statement has been made and does not commit before the epoch is asked for. */
    async beginDuring(
      statement: (tx: TransactionSql) => PromiseLike<unknown>,
    ): Promise<EpochAnswer> {
      const asked = { answer: Promise.resolve<EpochAnswer>({ kind: "already-swept" }) };
      await sql.begin(async (tx) => {
        await statement(tx);
        asked.answer = begin();
        await oneWaits(sql);
      });
      return await asked.answer;
    },
    /** The shard's epoch has been taken by a statement that commits only when somebody waits for it. */
    async whileBegun(work: () => Promise<unknown>): Promise<Fence> {
      const working = { end: Promise.resolve<unknown>(null) };
      const epoch = await sql.begin(async (tx) => {
        await tx`SELECT FROM watchdog.leadership FOR SHARE`;
        const [row] = await tx<{ readonly epoch: number }[]>`
          UPDATE watchdog.shards SET epoch = epoch + 1, progressed_at = now()
          WHERE shard = ${SHARD.index} RETURNING epoch::int`;
        working.end = work();
        await oneWaits(sql);
        return row?.epoch ?? 0;
      });
      await working.end;
      return { shard: SHARD.index, epoch, check: noCheck };
    },
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

async function oneWaits(sql: Sql): Promise<void> {
  await vi.waitFor(
    async () => {
      const waiting = await sql`
        SELECT FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock'`;
      expect(waiting).toHaveLength(1);
    },
    { timeout: 30_000, interval: 20 },
  );
}
