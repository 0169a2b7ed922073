import { describe, expect, it } from "vitest";
import { StoreSchemaError } from "../../../../src/watchdog/errors.ts";
import type { Fence } from "../../../../src/watchdog/ports.ts";
import { createDatabase } from "../../../services/postgres/database.ts";
import {
  epochRequest,
  FREELY,
  leaving,
  noCheck,
  openStores,
  takeEpoch,
} from "../../../support/stands/stores.ts";

const ISO_MICROSECONDS = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{1,6}[+-]\d\d:\d\d$/;

describe("PostgresLeadership", () => {
  it("shows a new installation: nobody swept, and an identity of its own", async () => {
    await using world = await setup();
    const view = await world.stores.leadership.read();
    expect(view).toEqual({
      installation: expect.stringMatching(/^[0-9a-f-]{36}$/),
      epoch: 0,
      holder: null,
      leaseKind: null,
      shards: 1,
      sweepStartedAt: null,
      sweepFinishedAt: null,
      sinceProgressMs: null,
      sinceFinishMs: null,
      lastStatus: null,
      lastPause: null,
      readAt: expect.stringMatching(/\+00:00$/),
    });
    await using elsewhere = await setup();
    expect((await elsewhere.stores.leadership.read()).installation).not.toBe(view.installation);
  });

  it("shows who swept, when, and how long ago by the database's clock", async () => {
    await using world = await setup();
    const request = epochRequest();
    await world.stores.leadership.begin(request, noCheck);
    await world.sql`
      UPDATE watchdog.leadership SET sweep_started_at = now() - interval '70 s',
        sweep_finished_at = now() - interval '60 s', progressed_at = now() - interval '65 s'`;
    const view = await world.stores.leadership.read();
    expect(view).toMatchObject({
      epoch: 1,
      holder: request.holder,
      leaseKind: "redis",
      sweepStartedAt: expect.stringMatching(ISO_MICROSECONDS),
      sweepFinishedAt: expect.stringMatching(ISO_MICROSECONDS),
    });
    expect(view.sinceFinishMs).toBeGreaterThanOrEqual(60_000);
    expect((view.sinceProgressMs ?? 0) - (view.sinceFinishMs ?? 0)).toBeGreaterThanOrEqual(4_999);
  });

  it("shows times to come as just now: a clock that was set back does not make them negative", async () => {
    await using world = await setup();
    await world.sql`
      UPDATE watchdog.leadership SET sweep_finished_at = now() + interval '1 hour',
        progressed_at = now() + interval '1 hour'`;
    expect(await world.stores.leadership.read()).toMatchObject({
      sinceFinishMs: 0,
      sinceProgressMs: 0,
    });
  });

  it("shows a kind of lease it does not know as none", async () => {
    await using world = await setup();
    await world.sql`UPDATE watchdog.leadership SET lease_kind = 'zookeeper'`;
    expect((await world.stores.leadership.read()).leaseKind).toBeNull();
  });

  it("names the remedy when its row is gone", async () => {
    await using world = await setup();
    await world.sql`DELETE FROM watchdog.leadership`;
    const { leadership } = world.stores;
    for (const call of [
      () => leadership.read(),
      () => leadership.horizon(),
      () => leadership.begin(epochRequest(), noCheck),
    ]) {
      const outcome = call();
      await expect(outcome).rejects.toThrow(StoreSchemaError);
      await expect(outcome).rejects.toThrow(/no row: run `run-watchdog migrate`/);
    }
  });

  it("notes progress for its own epoch", async () => {
    await using world = await setup();
    const fence = await takeEpoch(world.stores);
    await world.sql`UPDATE watchdog.leadership SET progressed_at = now() - interval '1 hour'`;
    expect(await world.stores.leadership.progress(fence, FREELY)).toBe(true);
    expect((await world.stores.leadership.read()).sinceProgressMs).toBeLessThan(3_600_000);
  });

  it("keeps with progress what was noted of the end of a sweep", async () => {
    await using world = await setup();
    const fence = await takeEpoch(world.stores);
    await world.stores.leadership.finish(fence, { status: "ok" }, FREELY);
    const { sweepFinishedAt } = await world.stores.leadership.read();
    expect(sweepFinishedAt).not.toBeNull();
    await world.stores.leadership.progress(fence, FREELY);
    const kept = { sweepFinishedAt, lastStatus: "ok" };
    expect(await world.stores.leadership.read()).toMatchObject(kept);
  });

  it("notes the end of a sweep and its report for its own epoch", async () => {
    await using world = await setup();
    const fence = await takeEpoch(world.stores);
    expect(await world.stores.leadership.finish(fence, { status: "ok" }, FREELY)).toBe(true);
    const [row] = await world.sql`
      SELECT last_report, sweep_finished_at >= sweep_started_at AS finished,
             progressed_at = sweep_finished_at AS progressed FROM watchdog.leadership`;
    expect(row).toEqual({ last_report: { status: "ok" }, finished: true, progressed: true });
  });

  it("changes nothing for an older epoch", async () => {
    await using world = await setup();
    const old = await takeEpoch(world.stores);
    await takeEpoch(world.stores);
    const before = await world.row();
    expect(await world.stores.leadership.progress(old, FREELY)).toBe(false);
    expect(await world.stores.leadership.finish(old, {}, FREELY)).toBe(false);
    await world.stores.leadership.clearLeaseKind(leaving(old.epoch));
    expect(await world.row()).toEqual(before);
  });

  it("sends nothing when the fence refuses", async () => {
    await using world = await setup();
    const { epoch } = await takeEpoch(world.stores);
    const before = await world.row();
    const reason = new Error("the lease is lost");
    const fence: Fence = {
      shard: 0,
      epoch,
      check() {
        throw reason;
      },
    };
    await expect(world.stores.leadership.progress(fence, FREELY)).rejects.toBe(reason);
    await expect(world.stores.leadership.finish(fence, {}, FREELY)).rejects.toBe(reason);
    expect(await world.row()).toEqual(before);
  });

  it("clears the kind of lease, so that another kind may begin at once", async () => {
    await using world = await setup();
    const { epoch } = await takeEpoch(world.stores);
    const { leadership } = world.stores;
    const other = epochRequest({ leaseKind: "postgres", leaseValue: "w1/t" });
    expect(await leadership.begin(other, noCheck)).toMatchObject({ kind: "other-lease-kind" });
    await leadership.clearLeaseKind(leaving(epoch));
    await world.sql`UPDATE watchdog.leadership SET holder = 'w1/t', lease_expires_at = now() + interval '1 minute'`;
    expect(await leadership.begin(other, noCheck)).toMatchObject({ kind: "begun" });
  });

  it("gives a horizon without taking an epoch", async () => {
    await using world = await setup();
    const before = await world.row();
    const horizon = await world.stores.leadership.horizon();
    expect(horizon.text).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00$/);
    const [, microseconds = ""] = /\.\d{3}(\d{3})/.exec(horizon.text) ?? [];
    expect(horizon.ms).toBeCloseTo(Date.parse(horizon.text) + Number(microseconds) / 1000, 3);
    expect(await world.row()).toEqual(before);
  });
});

async function setup() {
  await using resources = new AsyncDisposableStack();
  const { sql, connection } = resources.use(await createDatabase());
  const stores = resources.use(openStores(connection));
  const opened = resources.move();
  return {
    sql,
    stores,
    row: async () => (await sql`SELECT to_jsonb(l) AS row FROM watchdog.leadership l`)[0],
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}
