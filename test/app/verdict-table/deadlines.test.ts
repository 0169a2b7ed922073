import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { SweepReport } from "../../../src/rules/report.ts";
import type { Horizon, Leadership } from "../../../src/watchdog/store-ports.ts";
import type { RunSeed } from "../../fake-host/seed.ts";
import { createWorld, type World } from "../../support/world/world.ts";

/** The moment everything is compared with; fixed, so that a limit can be met to the microsecond. */
const HORIZON = "2026-03-01 12:00:00+00";
const DAY_S = 86_400;

interface HardDeadlineCase {
  readonly name: string;
  readonly timeoutS: number | null;
  /** From the start of the run. */
  readonly hardDeadlineS: number;
  readonly env?: Readonly<Record<string, string>>;
  /** Columns, when they are not a start that long ago. */
  readonly began?: "created" | "created long before it started";
}

const OWN_TIMES = {
  AUTOMATION_DEFAULT_RUN_DURATION: "10",
  AUTOMATION_MAX_RUN_DURATION: "20",
  AUTOMATION_SANDBOX_READY_TIMEOUT: "300",
  AUTOMATION_RUN_TIMEOUT_HARD_GRACE: "4000",
};

/** As upstream's own recipes have them. */
const UPSTREAMS_TIMES = {
  AUTOMATION_SANDBOX_READY_TIMEOUT: "0",
  AUTOMATION_RUN_TIMEOUT_HARD_GRACE: "-45",
};

const BELOW_ZERO = {
  AUTOMATION_DEFAULT_RUN_DURATION: "0",
  AUTOMATION_MAX_RUN_DURATION: "-60",
  AUTOMATION_SANDBOX_READY_TIMEOUT: "-5",
};

const LONGEST_TIMES = {
  AUTOMATION_DEFAULT_RUN_DURATION: "100000000000",
  AUTOMATION_MAX_RUN_DURATION: "100_000_000_000",
  AUTOMATION_RUN_TIMEOUT_HARD_GRACE: "-99999999000",
};

const hardDeadlines: readonly HardDeadlineCase[] = [
  { name: "without a timeout of its own", timeoutS: null, hardDeadlineS: 300 + 600 + 600 },
  { name: "with a timeout of one minute", timeoutS: 60, hardDeadlineS: 300 + 60 + 600 },
  { name: "with a timeout of nothing", timeoutS: 0, hardDeadlineS: 300 + 600 },
  { name: "with a timeout below nothing", timeoutS: -100, hardDeadlineS: 300 - 100 + 600 },
  { name: "with the longest timeout", timeoutS: 1800, hardDeadlineS: 300 + 1800 + 600 },
  { name: "with a timeout above the longest", timeoutS: 1801, hardDeadlineS: 300 + 1800 + 600 },
  { name: "that never started", timeoutS: null, hardDeadlineS: 1500, began: "created" },
  {
    name: "that waited long before it started",
    timeoutS: null,
    hardDeadlineS: 1500,
    began: "created long before it started",
  },
  { name: "under other times", timeoutS: null, hardDeadlineS: 300 + 10 + 4000, env: OWN_TIMES },
  { name: "under another longest", timeoutS: 60, hardDeadlineS: 300 + 20 + 4000, env: OWN_TIMES },
  { name: "with upstream's times", timeoutS: 60, hardDeadlineS: 0 + 60 - 45, env: UPSTREAMS_TIMES },
  {
    name: "under times below nothing",
    timeoutS: null,
    hardDeadlineS: -5 - 60 + 600,
    env: BELOW_ZERO,
  },
  {
    name: "under times of thousands of years",
    timeoutS: null,
    hardDeadlineS: 300 + 1000,
    env: LONGEST_TIMES,
  },
];

describe("the hard deadline", () => {
  let world: World;

  beforeAll(async () => {
    world = await createWorld();
  });

  afterAll(async () => {
    await world[Symbol.asyncDispose]();
  });

  for (const { name, timeoutS, hardDeadlineS, env = {}, began } of hardDeadlines) {
    it(`ends a running run ${name} when it is met`, async () => {
      const id = await seedRunning(world, { automation: { timeoutS } });
      await setBegin(world, id, began, `${HORIZON}`, hardDeadlineS, "0");
      const report = await sweepAt(world, [id], env);
      expect(report.runs).toMatchObject([{ action: "failed", reason: "still running" }]);
    });

    it(`defers a running run ${name} a millisecond before, and no further than that`, async () => {
      const id = await seedRunning(world, { automation: { timeoutS } });
      await setBegin(world, id, began, `${HORIZON}`, hardDeadlineS, "1 millisecond");
      const report = await sweepAt(world, [id], env);
      expect(report.runs).toMatchObject([{ action: "deferred", reason: "running" }]);
      expect(await lookAt(world, id)).toBe("2026-03-01 12:00:00.001+00");
    });
  }

  it("does not cap a deferral that ends before it", async () => {
    const before = await databaseNow(world);
    const { id } = await world.seed({ startedAgoMs: 1_400_000 });
    await world.sweep({ runIds: [id] });
    expect(await deferredBy(world, id, before, "45 s")).toBe(true);
  });

  it("caps a deferral that would end after it", async () => {
    const { id } = await world.seed({ startedAgoMs: 1_470_000 });
    await world.sweep({ runIds: [id] });
    expect(
      await world.database.sql`
      SELECT (s.look_at - r.started_at)::text AS looked, (r.timeout_at - s.look_at)::text AS hidden
      FROM automation_runs r JOIN watchdog.suspicions s ON s.run_id = r.id WHERE r.id = ${id}`,
    ).toEqual([{ looked: "00:25:00", hidden: "00:03:00" }]);
  });

  it("is a date under the longest times, and caps nothing", async () => {
    const before = await databaseNow(world);
    const { id } = await world.seed();
    const longest = "100000000000";
    const env = {
      AUTOMATION_DEFAULT_RUN_DURATION: longest,
      AUTOMATION_MAX_RUN_DURATION: longest,
      AUTOMATION_SANDBOX_READY_TIMEOUT: longest,
      AUTOMATION_RUN_TIMEOUT_HARD_GRACE: longest,
    };
    await world.sweep({ runIds: [id], env });
    expect(await deferredBy(world, id, before, "45 s")).toBe(true);
  });

  it("lies before every start under the shortest times, and ends a running run", async () => {
    const { id } = await world.seed();
    const shortest = "-100000000000";
    const env = {
      AUTOMATION_DEFAULT_RUN_DURATION: shortest,
      AUTOMATION_SANDBOX_READY_TIMEOUT: shortest,
      AUTOMATION_RUN_TIMEOUT_HARD_GRACE: shortest,
    };
    const { runs } = await world.sweep({ runIds: [id], env });
    expect(runs).toMatchObject([{ action: "failed", reason: "still running" }]);
  });

  it("does not cap the deferral of a run nobody could be asked about", async () => {
    const before = await databaseNow(world);
    const { id } = await world.seed({ startedAgoMs: 5_000_000 }, { initializing: true });
    await world.sweep({ runIds: [id], env: { WATCHDOG_DEFER: "10m" } });
    expect(await deferredBy(world, id, before, "10 min")).toBe(true);
  });
});

const limits = [
  { name: "a deadline at the horizon", timeoutAt: HORIZON, stale: false },
  {
    name: "a deadline a microsecond before the horizon",
    timeoutAt: "2026-03-01 11:59:59.999999+00",
    stale: true,
  },
  { name: "no deadline and a day of age", ageS: DAY_S, stale: false },
  { name: "no deadline and a microsecond more than a day", ageS: DAY_S + 1e-6, stale: true },
  { name: "no deadline, no start and a day of age", ageS: DAY_S, unstarted: true, stale: false },
  {
    name: "no deadline, no start and a microsecond more than a day",
    ageS: DAY_S + 1e-6,
    unstarted: true,
    stale: true,
  },
  {
    name: "no deadline and an hour of age where an hour is the limit",
    ageS: 3600,
    env: { WATCHDOG_NULL_DEADLINE_AFTER: "1h" },
    stale: false,
  },
  {
    name: "no deadline and a microsecond more where an hour is the limit",
    ageS: 3600 + 1e-6,
    env: { WATCHDOG_NULL_DEADLINE_AFTER: "1h" },
    stale: true,
  },
];

describe("a stale run", () => {
  for (const { name, timeoutAt, ageS = 0, unstarted, env = {}, stale } of limits) {
    it(`is ${stale ? "" : "not "}one with ${name}`, async () => {
      await using world = await createWorld();
      const id = await seedRunning(world, { timeoutAt: timeoutAt ?? null });
      const began = unstarted ? "created" : "created long before it started";
      await setBegin(world, id, began, HORIZON, ageS, "0");
      const { runs, counts } = await sweepAt(world, null, env);
      expect(runs.map(({ runId }) => runId)).toEqual(stale ? [id] : []);
      expect(counts.stale).toBe(stale ? 1 : 0);
    });
  }
});

/** A sandbox whose command still runs. */
async function seedRunning(world: World, run: RunSeed): Promise<string> {
  const timeoutAt = "2026-03-01 11:00:00+00";
  return (await world.seed({ timeoutAt, ...run })).id;
}

/** Lets the run begin `agoS` before the horizon, but `later` than that. */
async function setBegin(
  { database: { sql } }: World,
  id: string,
  began: HardDeadlineCase["began"],
  horizon: string,
  agoS: number,
  later: string,
): Promise<void> {
  await sql`
    UPDATE automation_runs
    SET created_at = at - ${began === "created long before it started" ? 1e6 : 0}::float8 * interval '1 second',
        started_at = CASE WHEN ${began !== "created"}::boolean THEN at END
    FROM (SELECT ${horizon}::text::timestamptz - ${agoS}::float8 * interval '1 second'
                 + ${later}::text::interval AS at) AS begin
    WHERE id = ${id}`;
}

async function sweepAt(
  world: World,
  runIds: readonly string[] | null,
  env: Readonly<Record<string, string>>,
): Promise<SweepReport> {
  const horizon = { text: HORIZON, ms: Date.parse("2026-03-01T12:00:00Z") };
  return await world.sweep({
    env,
    ...(runIds === null ? {} : { runIds }),
    replace: ({ leadership }) => ({ leadership: withHorizon(leadership, horizon) }),
  });
}

function withHorizon(leadership: Leadership, horizon: Horizon): Leadership {
  return {
    read: () => leadership.read(),
    begin: async (request, check) => {
      const answer = await leadership.begin(request, check);
      return answer.kind === "begun" ? { ...answer, horizon } : answer;
    },
    horizon: async () => horizon,
    progress: (...args) => leadership.progress(...args),
    finish: (...args) => leadership.finish(...args),
    clearLeaseKind: (epoch) => leadership.clearLeaseKind(epoch),
  };
}

async function databaseNow({ database: { sql } }: World): Promise<string> {
  const [row] = await sql<{ now: string }[]>`SELECT now()::text AS now`;
  return row?.now ?? "";
}

async function lookAt({ database: { sql } }: World, id: string): Promise<string | undefined> {
  const [row] = await sql<{ at: string }[]>`
    SELECT look_at::text AS at FROM watchdog.suspicions WHERE run_id = ${id}`;
  return row?.at;
}

/** Whether the next look was put off by that much at some time since then. */
async function deferredBy({ database: { sql } }: World, id: string, since: string, by: string) {
  const [row] = await sql<{ deferred: boolean }[]>`
    SELECT look_at BETWEEN ${since}::text::timestamptz + ${by}::text::interval
                       AND now() + ${by}::text::interval AS deferred
    FROM watchdog.suspicions WHERE run_id = ${id}`;
  return row?.deferred;
}
