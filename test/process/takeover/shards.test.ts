import { describe, expect, it, vi } from "vitest";
import { askHealth } from "../../support/process/ask-health.ts";
import { seriesValue, untilMetrics } from "../../support/process/ask-metrics.ts";
import {
  gates,
  healthOf,
  LEASE_STORES,
  PATIENCE,
  SHORT_LEASE,
  startPair,
  twiceAMinute,
} from "../../support/process/contending-workers.ts";
import { parseDocumentOf } from "../../support/process/report-document.ts";
import { runOnce, startWorker, type WorkerProcess } from "../../support/process/worker-process.ts";
import { seedExited } from "../../support/world/proven-runs.ts";
import { createWorld, type World } from "../../support/world/world.ts";

const RUNS = 16;
const DIVIDED = { WATCHDOG_SHARDS: "4" };
const WITHIN = { timeout: 90_000, interval: 50 };

describe.each(LEASE_STORES)("four shards on two workers with $name leases", ({ open }) => {
  it(
    "are shared, and those of a killed worker go on with the other one before the next tick",
    PATIENCE,
    async () => {
      await using world = await createWorld();
      await using store = await open(world);
      const runs = await Promise.all(
        Array.from({ length: RUNS }, (_, index) => seedExited(world, index % 2)),
      );
      const [answer] = gates(world.host, 4 * RUNS);
      const env = {
        ...world.env,
        ...store.env,
        ...SHORT_LEASE,
        ...twiceAMinute(),
        ...DIVIDED,
        WATCHDOG_API_CONCURRENCY: "64",
      };
      await using pair = await startPair(env);
      await world.host.traffic.until("lookup", RUNS);
      // At once, or, where one was up too late for the first tick, handed over at the second.
      const shares = await vi.waitFor(async () => {
        const found = await sharesOf(world);
        expect([...found.values()]).toEqual([2, 2]);
        return found;
      }, WITHIN);
      const [victim, survivor] = pair.both;
      const [gone, left] = await Promise.all([healthOf(victim), healthOf(survivor)]);
      expect([...shares.keys()].toSorted()).toEqual([gone.holder, left.holder].toSorted());

      victim.kill("SIGKILL");
      expect(await victim.exited).toEqual({ code: null, signal: "SIGKILL" });
      answer?.();
      await vi.waitFor(async () => {
        const ended = await verdictsOf(world);
        expect(ended.map(({ runId }) => runId).toSorted()).toEqual(
          runs.map(({ id }) => id).toSorted(),
        );
      }, WITHIN);
      expect((await healthOf(survivor)).sweep.nextAt).toBe(left.sweep.nextAt);
      for (const { holder } of await verdictsOf(world)) expect(holder).toBe(left.holder);
      // A shard without runs may be taken up after all verdicts are written.
      await vi.waitFor(async () => {
        expect([...(await sharesOf(world)).keys()]).toEqual([left.holder]);
      }, WITHIN);
      await expectShown(env, survivor, left.holder);
    },
  );
});

describe("a one-shot sweep of a fleet with four shards", () => {
  it("takes all of them, or none and says which is held", PATIENCE, async () => {
    await using world = await createWorld();
    const runs = await Promise.all(
      Array.from({ length: 8 }, (_, index) => seedExited(world, index % 2)),
    );
    const { sql } = world.database;
    const env = { ...world.env, ...DIVIDED };
    await sql`
      UPDATE watchdog.shards SET holder = 'other-host/17/beef/token',
        lease_expires_at = now() + interval '2 minutes' WHERE shard = 2`;
    const refused = await runOnce(env, ["once"]);
    expect(refused.code).toBe(75);
    expect(refused.stdout).toContain("another worker holds the lease of shard 2:");
    expect(refused.stdout).toContain("other-host/17/beef");
    expect(await verdictsOf(world)).toEqual([]);
    const [first] = await sql`SELECT lease_expires_at FROM watchdog.leadership`;
    expect(first).toEqual({ lease_expires_at: null });

    await sql`UPDATE watchdog.shards SET lease_expires_at = NULL WHERE shard = 2`;
    const swept = await runOnce(env, ["once", "--run", runs[0]?.id ?? "", "--output", "json"]);
    expect(swept.code).toBe(0);
    expect(await verdictsOf(world)).toMatchObject([{ runId: runs[0]?.id }]);
    expect((await runOnce(env, ["once"])).code).toBe(0);
    expect(await verdictsOf(world)).toHaveLength(8);
  });

  it("is of another number than the workers' and refused with exit code 2", PATIENCE, async () => {
    await using world = await createWorld();
    await using worker = await startWorker({ ...world.env, ...DIVIDED, ...twiceAMinute() });
    await vi.waitFor(async () => {
      const [row] = await world.database.sql`SELECT lease_kind FROM watchdog.leadership`;
      expect(row).toEqual({ lease_kind: "postgres/4" });
    }, WITHIN);
    const other = await runOnce(world.env, ["once"]);
    expect(other).toMatchObject({ code: 2, stdout: "" });
    expect(other.stderr).toContain("give all of them the same WATCHDOG_SHARDS");
    worker.kill("SIGTERM");
    expect(await worker.exited).toEqual({ code: 0, signal: null });
    const [row] = await world.database.sql`SELECT lease_kind FROM watchdog.leadership`;
    expect(row).toEqual({ lease_kind: null });
  });
});

/** What the worker and the database tell of four shards that one worker swept last, held to the schemas. */
async function expectShown(
  env: Readonly<Record<string, string>>,
  worker: WorkerProcess,
  holder: string,
): Promise<void> {
  const all = (rest: object) =>
    [0, 1, 2, 3].map((shard) => expect.objectContaining({ shard, ...rest }));
  const ages = [0, 1, 2, 3].map(
    (shard) => `watchdog_shard_last_sweep_age_seconds{shard="${shard}"}`,
  );
  const text = await untilMetrics(worker, (page) =>
    ages.every((age) => seriesValue(page, age) !== null),
  );
  expect(seriesValue(text, "watchdog_shards")).toBe(4);
  expect(seriesValue(text, "watchdog_shards_neglected")).toBe(0);
  const { body } = await askHealth(worker, "/health");
  expect(body["shards"]).toEqual(all({ leader: holder }));
  const { stdout } = await runOnce(env, ["status", "--json"]);
  const status = parseDocumentOf("status.json", stdout);
  expect(status).toMatchObject({
    shards: all({ holder }),
    workers: [{ shards: 4 }, { shards: 4 }],
  });
}

/** How many shards each holder leads. */
async function sharesOf({ database }: World): Promise<ReadonlyMap<string, number>> {
  const rows = await database.sql<{ readonly holder: string; readonly count: number }[]>`
    SELECT regexp_replace(holder, '/[^/]*$', '') AS holder, count(*)::int AS count
    FROM (SELECT holder FROM watchdog.leadership
      UNION ALL SELECT holder FROM watchdog.shards WHERE shard < 4) AS leads
    GROUP BY 1`;
  return new Map(rows.map(({ holder, count }) => [holder, count]));
}

async function verdictsOf({ database }: World) {
  return database.sql<{ readonly runId: string; readonly holder: string }[]>`
    SELECT run_id AS "runId", holder FROM watchdog.verdicts ORDER BY id`;
}
