import { describe, expect, it, vi } from "vitest";
import type { EpochAnswer, EpochRequest } from "../../../../src/watchdog/store-ports.ts";
import { createDatabase, type TestDatabase } from "../../../services/postgres/database.ts";
import {
  epochRequest,
  FREELY,
  noCheck,
  openStores,
  type TestStores,
} from "../../../support/stands/stores.ts";

const INTERVAL_MS = 60_000;
const HORIZON = {
  text: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00$/),
  ms: expect.any(Number),
};

describe("PostgresLeadership.begin", () => {
  it("hands out the next epoch and the database's time, and stamps who sweeps", async () => {
    await using world = await setup();
    const request = epochRequest();
    const [first, second] = [await world.begin(request), await world.begin(request)];
    expect(first).toEqual({ kind: "begun", epoch: 1, horizon: HORIZON, throttle: FREELY });
    expect(second).toEqual({ kind: "begun", epoch: 2, horizon: HORIZON, throttle: FREELY });
    if (second.kind !== "begun") throw new Error("refused");
    const [row] = await world.database.sql`
      SELECT epoch::int, holder, lease_kind, lease_expires_at, sweep_trigger, sweep_finished_at,
             sweep_started_at = ${second.horizon.text}::text::timestamptz AS started_at_horizon,
             progressed_at = sweep_started_at AS progressed_at_start,
             sweep_started_at = to_timestamp(${second.horizon.ms}::float8 / 1000) AS same_ms
      FROM watchdog.leadership`;
    expect(row).toEqual({
      epoch: 2,
      holder: request.leaseValue,
      lease_kind: "redis",
      lease_expires_at: null,
      sweep_trigger: "cron",
      sweep_finished_at: null,
      started_at_horizon: true,
      progressed_at_start: true,
      same_ms: true,
    });
  });

  it("hands out each epoch once to those who begin at the same time", async () => {
    await using world = await setup();
    const answers = await Promise.all(
      Array.from({ length: 30 }, () => world.begin(epochRequest({ trigger: "once" }))),
    );
    const epochs = answers.map((answer) => (answer.kind === "begun" ? answer.epoch : answer.kind));
    expect(new Set(epochs)).toEqual(new Set(Array.from({ length: 30 }, (_, index) => index + 1)));
  });

  it("asks the check when its turn has come, and changes nothing when that refuses", async () => {
    await using world = await setup();
    const before = await world.row();
    const reason = new Error("the lease is lost");
    const check = vi.fn(() => {
      throw reason;
    });
    await expect(world.stores.leadership.begin(epochRequest(), check)).rejects.toBe(reason);
    expect(check).toHaveBeenCalledOnce();
    expect(await world.row()).toEqual(before);
  });

  const sweeps: readonly (readonly [string, boolean, number, "begun" | "already-swept"])[] = [
    ["refuses a tick whose sweep finished and began just now", true, 0, "already-swept"],
    ["refuses a tick a second short of half an interval", true, 29_000, "already-swept"],
    ["lets a tick begin half an interval after the last sweep began", true, 30_000, "begun"],
    ["lets a tick begin while the last sweep is unfinished", false, 0, "begun"],
    ["lets a tick begin when an old sweep never finished", false, 30_000, "begun"],
  ];
  it.each(sweeps)("%s", async (_, finished, agoMs, expected) => {
    await using world = await setup();
    await world.sweptAgo(agoMs, finished);
    await world.expectAnswer({}, expected);
  });

  it("does not count a recent end when the sweep began long ago", async () => {
    await using world = await setup();
    await world.sweptAgo(INTERVAL_MS, true);
    await world.database.sql`UPDATE watchdog.leadership SET sweep_finished_at = now()`;
    await world.expectAnswer({}, "begun");
  });

  it("never refuses a one-shot because a sweep has just finished", async () => {
    await using world = await setup();
    await world.sweptAgo(0, true);
    await world.expectAnswer({ trigger: "once" }, "begun");
  });

  it("never refuses a partial sweep because a full one has just finished", async () => {
    await using world = await setup();
    await world.sweptAgo(0, true);
    await world.expectAnswer({ full: false }, "begun");
  });

  it("leaves the columns of the last sweep alone when a partial one begins", async () => {
    await using world = await setup();
    await world.sweptAgo(10_000, true);
    const columns = () => world.database.sql`
      SELECT sweep_trigger, sweep_started_at::text, sweep_finished_at::text, progressed_at::text, last_report
      FROM watchdog.leadership`;
    const before = await columns();
    await world.expectAnswer({ full: false, trigger: "once" }, "begun");
    expect(await columns()).toEqual(before);
  });

  it("refuses another kind of lease a second short of the bound, and says which kind is noted", async () => {
    await using world = await setup();
    await world.notedKind("postgres", 119_000);
    const before = await world.row();
    expect(await world.begin(epochRequest({ otherKindAfterMs: 120_000 }))).toEqual({
      kind: "other-lease-kind",
      noted: { leaseKind: "postgres", shards: 1 },
    });
    expect(await world.row()).toEqual(before);
  });

  it.each([
    ["at the bound", 120_000],
    ["when nothing was ever swept", null],
  ])("lets another kind of lease take over %s", async (_, progressedAgoMs) => {
    await using world = await setup();
    await world.notedKind("postgres", progressedAgoMs);
    await world.expectAnswer({ otherKindAfterMs: 120_000 }, "begun");
    const [row] = await world.database.sql`SELECT lease_kind FROM watchdog.leadership`;
    expect(row).toEqual({ lease_kind: "redis" });
  });

  it("says that the kind differs rather than that the tick was swept", async () => {
    await using world = await setup();
    await world.notedKind("postgres", 0);
    await world.database
      .sql`UPDATE watchdog.leadership SET sweep_started_at = now(), sweep_finished_at = now()`;
    await world.expectAnswer({}, "other-lease-kind");
  });

  describe("under the Postgres lease", () => {
    const held = { leaseKind: "postgres", leaseValue: "w1/t" } as const;

    it("begins while the row names this term, and leaves its expiry alone", async () => {
      await using world = await setup();
      await world.leaseHeld("w1/t", "1 minute");
      const expiry = () =>
        world.database.sql`SELECT lease_expires_at::text FROM watchdog.leadership`;
      const before = await expiry();
      await world.expectAnswer(held, "begun");
      expect(await expiry()).toEqual(before);
    });

    it.each([
      ["another holder", "w2/t", "1 minute"],
      ["another term of the same holder", "w1/t2", "1 minute"],
      ["a lease that has run out", "w1/t", "-1 microsecond"],
    ])("has lost the lease when the row names %s", async (_, holder, expiresIn) => {
      await using world = await setup();
      await world.leaseHeld(holder, expiresIn);
      await world.expectAnswer(held, "lease-lost");
    });

    it("has lost the lease when it was released", async () => {
      await using world = await setup();
      await world.database
        .sql`UPDATE watchdog.leadership SET holder = 'w1/t', lease_expires_at = NULL`;
      await world.expectAnswer(held, "lease-lost");
    });

    it("has lost the lease when nobody ever held one", async () => {
      await using world = await setup();
      await world.expectAnswer(held, "lease-lost");
    });
  });

  it("answers from the row as it is when its turn comes, not as it was when it asked", async () => {
    await using world = await setup();
    const { sql } = world.database;
    await sql`UPDATE watchdog.leadership SET sweep_started_at = now()`;
    const beginning = Promise.withResolvers<EpochAnswer>();
    await sql.begin(async (tx) => {
      await tx`UPDATE watchdog.leadership SET sweep_finished_at = now()`;
      world.begin(epochRequest()).then(beginning.resolve, beginning.reject);
      await vi.waitFor(async () => expect(await world.waiting()).toBe(1), { timeout: 20_000 });
    });
    expect(await beginning.promise).toEqual({ kind: "already-swept" });
  });
});

interface BeginWorld extends AsyncDisposable {
  readonly database: TestDatabase;
  readonly stores: TestStores;
  begin(request: EpochRequest): Promise<EpochAnswer>;
  /** Begins, and sees to it that a refusal has changed nothing. */
  expectAnswer(changes: Partial<EpochRequest>, kind: EpochAnswer["kind"]): Promise<void>;
  row(): Promise<unknown>;
  sweptAgo(ms: number, finished: boolean): Promise<void>;
  notedKind(kind: string, progressedAgoMs: number | null): Promise<void>;
  leaseHeld(holder: string, expiresIn: string): Promise<void>;
  /** How many statements wait for a lock. */
  waiting(): Promise<number>;
}

async function setup(): Promise<BeginWorld> {
  await using resources = new AsyncDisposableStack();
  const database = resources.use(await createDatabase());
  const stores = resources.use(openStores(database.connection));
  const { sql } = database;
  const opened = resources.move();
  const begin = (request: EpochRequest) => stores.leadership.begin(request, noCheck);
  const row = async () => (await sql`SELECT to_jsonb(l) AS row FROM watchdog.leadership l`)[0];
  return {
    database,
    stores,
    begin,
    row,
    async expectAnswer(changes, kind) {
      const before = await row();
      const answer = await begin(epochRequest(changes));
      expect(answer.kind).toBe(kind);
      if (kind !== "begun") expect(await row()).toEqual(before);
    },
    async sweptAgo(ms, finished) {
      const ago = `${ms} milliseconds`;
      await sql`
        UPDATE watchdog.leadership SET sweep_trigger = 'cron', lease_kind = 'redis',
          sweep_started_at = now() - ${ago}::text::interval,
          progressed_at = now() - ${ago}::text::interval,
          sweep_finished_at = CASE WHEN ${finished} THEN now() - ${ago}::text::interval END`;
    },
    async notedKind(kind, progressedAgoMs) {
      await sql`
        UPDATE watchdog.leadership SET lease_kind = ${kind},
          progressed_at = now() - ${progressedAgoMs}::float8 * interval '1 millisecond'`;
    },
    async leaseHeld(holder, expiresIn) {
      await sql`
        UPDATE watchdog.leadership SET holder = ${holder},
          lease_expires_at = now() + ${expiresIn}::text::interval`;
    },
    async waiting() {
      const [found] = await sql`
        SELECT count(*)::int AS count FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock'`;
      return found?.["count"];
    },
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}
