/** What an operator reads when nothing is broken but what workers, people and clocks do to each other. */
import { describe, expect, vi } from "vitest";
import { systemClock } from "../../../src/io/clock.ts";
import { redisUrl } from "../../services/redis/redis.ts";
import { type Breakdown, expectWords } from "../../support/breakdowns/breakdown.ts";
import {
  holdPostgresLease,
  holdRedisLease,
  OTHER_HOLDER,
  releaseRedisLease,
} from "../../support/process/held-lease.ts";
import { exitedWith, randomCommandId, type World } from "../../support/world/world.ts";

const NOBODY =
  "nobody has swept for 3 scheduled ticks: check that a worker runs, and what its log or run-watchdog doctor says";
const HELD = "2 held back by the guard, if they are dead: run-watchdog once --override-guard";
const REFUSED =
  "2 x ending a run: SQLSTATE P0001, raised by a trigger or function, check the triggers and policies of automation_runs";
const ONE_KIND = "give all of them the same REDIS_URL, or none";
const PAUSED = "paused until <time> by ann: moving (run-watchdog resume ends it)";
const SELDOM = "let it look seldom: AUTOMATION_WATCHDOG_INTERVAL_SECONDS=3600 for the host";

const FLEET: readonly Breakdown[] = [
  {
    name: "the guard holds",
    breaks: async (world) => {
      for (let count = 0; count < 2; count += 1) await world.seed({}, { status: "MISSING" });
      return { env: { WATCHDOG_GUARD_MIN: "1", WATCHDOG_GUARD_PER_HOUR: "60" } };
    },
    tells: HELD,
    words: {
      once: [4, HELD],
      health: ["degraded", HELD],
      log: `warn sweep finished: ${HELD}`,
      status: [4, HELD],
      metrics: ['watchdog_waiting_runs{state="held"} 2', 'watchdog_health{status="degraded"} 1'],
    },
  },
  {
    name: "a trigger refuses the writes",
    breaks: async (world) => {
      for (let count = 0; count < 2; count += 1) {
        const bashCommandId = randomCommandId();
        await world.seed({ bashCommandId }, { outputs: [exitedWith(9, { bashCommandId })] });
      }
      await world.database.sql.unsafe(`
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql
          AS $$ BEGIN RAISE EXCEPTION 'tenant text'; END $$;
        CREATE TRIGGER refuse BEFORE UPDATE ON automation_runs FOR EACH ROW EXECUTE FUNCTION refuse()`);
      return {};
    },
    untilWritten: true,
    tells: REFUSED,
    words: {
      once: [3, REFUSED],
      health: ["degraded", REFUSED],
      log: `warn sweep finished: ${REFUSED}`,
      status: [3, REFUSED],
      metrics: ['watchdog_waiting_runs{state="failing"} 2', 'watchdog_health{status="degraded"} 1'],
    },
  },
  {
    name: "somebody else holds the lease, and does not sweep",
    breaks: async (world) => {
      await holdPostgresLease(world.database.sql);
      return {};
    },
    tells: OTHER_HOLDER,
    // A standby is well; that nobody sweeps is said as always.
    silent: { health: "standby", log: "standby", status: "expiry" },
    words: {
      once: [
        75,
        `another worker holds the lease: ${OTHER_HOLDER}, for up to <duration> unless it renews it`,
      ],
      // It takes no lease.
      dryRun: [0],
      health: ["failing", NOBODY],
      log: null,
      status: [3, NOBODY],
      metrics: ['watchdog_role{role="standby"} 1', "watchdog_nobody_sweeps 1"],
    },
  },
  {
    name: "a lease never expires",
    breaks: async (world, resources) => {
      const { sql } = world.database;
      await holdRedisLease(redisUrl(), sql, false);
      resources.defer(() => releaseRedisLease(redisUrl(), sql));
      return { env: { REDIS_URL: redisUrl() } };
    },
    tells: "delete it",
    // The database does not know of the key.
    silent: { status: "redis" },
    words: {
      once: [
        75,
        `another worker holds the lease: ${OTHER_HOLDER}, its key watchdog:{<uuid>}:lease has no expiry: delete it`,
      ],
      dryRun: [0],
      health: [
        "failing",
        NOBODY,
        "the key watchdog:{<uuid>}:lease has no expiry and blocks every worker: delete it",
      ],
      log: `error the lease has no expiry, delete its key {"holder":"${OTHER_HOLDER}","key":"watchdog:{<uuid>}:lease"}`,
      status: [3, NOBODY],
      metrics: ["watchdog_lease_endless 1", 'watchdog_health{status="failing"} 1'],
    },
  },
  {
    name: "other workers use another kind of lease",
    breaks: async (world) => {
      await world.database.sql`
        UPDATE watchdog.leadership
        SET lease_kind = 'redis', holder = ${OTHER_HOLDER}, progressed_at = now() + interval '1 h'`;
      return {};
    },
    tells: ONE_KIND,
    words: {
      once: [2, `other workers of this database use the redis lease: ${ONE_KIND}`],
      dryRun: [0],
      health: ["degraded", `other workers use the redis lease: ${ONE_KIND}`],
      log: `warn standing by, other workers use another kind of lease {"noted":"redis","remedy":"${ONE_KIND}"}`,
      // A difference is nothing that waits.
      status: [0, `workers use different leases: ${ONE_KIND}`],
      metrics: ['watchdog_role{role="standby"} 1', 'watchdog_health{status="degraded"} 1'],
    },
  },
  {
    name: "somebody has paused all workers",
    breaks: async (world) => {
      await world.database.sql`
        UPDATE watchdog.leadership
        SET paused_until = now() + interval '2 h', pause_reason = 'moving', paused_by = 'ann'`;
      return {};
    },
    tells: "run-watchdog resume ends it",
    words: {
      once: [75, PAUSED],
      dryRun: [0],
      health: ["degraded", PAUSED],
      log: 'warn paused, nothing is swept {"until":"<time>","by":"ann","reason":"moving","remedy":"run-watchdog resume ends it"}',
      status: [3, PAUSED],
      metrics: ["watchdog_nobody_sweeps 0", 'watchdog_health{status="degraded"} 1'],
    },
  },
  {
    name: "a worker only observes",
    breaks: async (world) => {
      await world.seed({}, { status: "MISSING" });
      return { env: { WATCHDOG_MODE: "observe" } };
    },
    tells: "nothing is written",
    // A dry run says so in a field of its own. An observer leaves no trace in the database.
    silent: { once: "dryRun", log: "passive", status: "unlisted" },
    words: {
      once: [0],
      health: ["degraded", "observing: nothing is written, because WATCHDOG_MODE is observe"],
      log: "info observed, nothing was written",
      status: [3, NOBODY],
      metrics: ["watchdog_epoch 0", 'watchdog_health{status="degraded"} 1'],
    },
  },
  {
    name: "the clock of Postgres is off",
    breaks: async (_, resources) => {
      const spy = vi.spyOn(systemClock, "now");
      spy.mockImplementation(() => new Date(Date.now() + 20_000));
      resources.defer(() => spy.mockRestore());
      return {};
    },
    tells: "check their time service",
    // Nothing waits for it. The log gives the seconds, which may be one less.
    silent: { once: "stderr", log: "measured" },
    words: {
      once: [0],
      health: [
        "degraded",
        "the clock of Postgres is <duration> behind this worker's, check their time service",
      ],
      log: expect.stringMatching(
        /^warn a clock is off .*"clock":"postgres","skewSeconds":-(19|20),.*check their time service/,
      ),
      status: [
        0,
        "the clock of Postgres is <duration> behind this machine's, check their time service",
      ],
      metrics: [
        expect.stringMatching(/^watchdog_clock_skew_seconds\{peer="postgres"\} -(19|20)/),
        'watchdog_health{status="degraded"} 1',
      ],
    },
  },
  {
    name: "the host's watchdog ends runs as well",
    breaks: async (world) => ({ again: () => endElsewhere(world) }),
    tells: SELDOM,
    // Counted by whoever meets it, and kept nowhere.
    silent: { once: "before", status: "unkept" },
    words: {
      once: [0],
      health: [
        "degraded",
        `another watchdog ends runs: 1 that were suspected or held here, in the last hour, ${SELDOM}`,
      ],
      log: `warn another watchdog ends runs {"count":1,"remedy":"${SELDOM}"}`,
      status: [0],
      metrics: ["watchdog_shield_violations_total 1", 'watchdog_health{status="degraded"} 1'],
    },
  },
];

describe("an operator of the fleet", () => {
  expectWords(FLEET);
});

/** A run that was suspected, and was then ended by somebody who does not wait for our next look. */
async function endElsewhere(world: World): Promise<void> {
  const { id } = await world.seed({}, { status: "MISSING" });
  await world.sweep({ env: { WATCHDOG_CONFIRMATIONS: "2" } });
  await world.database.sql`
    UPDATE automation_runs
    SET status = 'FAILED', error_detail = 'Timed out: No bash output found', completed_at = now()
    WHERE id = ${id}`;
}
