/** Single shards of four, each swept by a worker of its own while others sweep theirs, or take this one. */
import { describe, expect, it } from "vitest";
import type { SweepReport } from "../../src/rules/report.ts";
import { LeaseLostError } from "../../src/watchdog/errors.ts";
import { seedExited } from "../support/world/proven-runs.ts";
import { createWorld, type SweepOptions, type World } from "../support/world/world.ts";
import { atPoint, type Point } from "./interleavings.ts";
import { pauseCommits } from "./paused-commit.ts";
import { actionsOf, journal, seedSampleRuns, UNDISTURBED, wholeRow } from "./sample-runs.ts";

const SHARD = 2;
/** A leader that trusts its lease for longer than a test takes. */
const TRUSTING = { WATCHDOG_LEASE_TTL: "10m", WATCHDOG_LEASE_RENEW: "4m" };
const FOUR = { ...TRUSTING, WATCHDOG_SHARDS: "4" };
const TWO = { ...TRUSTING, WATCHDOG_SHARDS: "2" };
/** Only the first shard ends what is merely presumed. */
const WITHOUT_PRESUMING = { ...UNDISTURBED, presumed: "suspected" };

const POINTS: readonly Point[] = [
  "between the page and the re-read",
  "between the re-read and the question",
  "between the answer and the write",
];

describe("the sweep of one shard", () => {
  it.each(POINTS)("is not fenced by newer epochs of all other shards %s", async (point) => {
    await using world = await createFleet();
    const sample = await seedSampleRuns(world, SHARD);
    const sweepOthers = async () => {
      for (const shard of [0, 1, 3, 1]) await world.sweep({ env: FOUR, shard });
    };
    const report = await sweepMeanwhile(world, point, sample.runs.length, sweepOthers);
    expect(actionsOf(report, sample)).toEqual(WITHOUT_PRESUMING);
    await expectVerdicts(world, sample.byOutcome, { shard: SHARD, epoch: report.epoch ?? 0 });
  });

  const successors = [
    {
      name: "the next leader of the shard",
      sweep: (world: World) => world.sweep({ env: FOUR, shard: SHARD }),
      shard: SHARD,
      actions: WITHOUT_PRESUMING,
    },
    {
      name: "a one-shot sweep of all shards",
      sweep: (world: World) => world.sweep({ env: FOUR }),
      shard: 0,
      actions: UNDISTURBED,
    },
    {
      name: "a leader that divides the runs anew",
      sweep: async (world: World) => {
        await seemDead(world);
        return await world.sweep({ env: TWO, shard: 0 });
      },
      shard: 0,
      actions: UNDISTURBED,
    },
  ];
  const cases = successors.flatMap((successor) => POINTS.map((point) => ({ ...successor, point })));

  it.each(cases)("leaves every write to $name that comes $point", async (successor) => {
    const { point, sweep, shard, actions } = successor;
    await using world = await createFleet();
    const sample = await seedSampleRuns(world, SHARD);
    const newer: SweepReport[] = [];
    const rows = new Map<string, unknown>();
    const older = await sweepMeanwhile(world, point, sample.runs.length, async () => {
      await forgetLeases(world);
      newer.push(await sweep(world));
      for (const { id } of sample.runs) rows.set(id, await wholeRow(world, id));
    });
    expect(older).toMatchObject({ status: "error", exitCode: 1 });
    expect(older.counts).toMatchObject({ completed: 0, failed: 0, deferred: 0, undetermined: 0 });
    const [report] = newer;
    expect(report && actionsOf(report, sample)).toEqual(actions);
    for (const { id } of sample.runs) expect(await wholeRow(world, id)).toEqual(rows.get(id));
    const { presumed, ...proven } = sample.byOutcome;
    const ended = shard === 0 ? { ...proven, presumed } : proven;
    await expectVerdicts(world, ended, { shard, epoch: report?.epoch ?? 0 });
  });

  it("is handed over when its writes in flight have ended, and each run is judged once", async () => {
    await using world = await createFleet();
    await using commits = await pauseCommits(world.database);
    const written = await seedExited(world, 0, { id: await world.idIn(SHARD) });
    const left = await seedExited(world, 1, { id: await world.idIn(SHARD) });
    const stop = new AbortController();
    const asking = Promise.withResolvers<void>();
    const point = "between the re-read and the question";
    const older = world.sweep({
      env: FOUR,
      shard: SHARD,
      signal: stop.signal,
      replace: atPoint(point, (runId) => {
        if (runId !== left.id) return Promise.resolve();
        asking.resolve();
        return new Promise((_, reject) => {
          stop.signal.addEventListener("abort", () => reject(stop.signal.reason), { once: true });
        });
      }),
    });
    await asking.promise;
    await commits.waiting(1);
    stop.abort(new LeaseLostError("another worker goes on"));
    const goOn: SweepOptions = { env: FOUR, shard: SHARD };
    await expect(world.sweep(goOn)).rejects.toThrow("nothing was swept: lease-held");
    await commits.release();
    const first = await older;
    expect(first.counts).toMatchObject({ completed: 1, failed: 0 });
    const second = await world.sweep(goOn);
    expect(second.counts).toMatchObject({ stale: 1, completed: 0, failed: 1 });
    expect(await journal(world)).toMatchObject([
      { run_id: written.id, shard: SHARD, epoch: first.epoch },
      { run_id: left.id, shard: SHARD, epoch: second.epoch },
    ]);
  });
});

describe("a presumption in a fleet with four shards", () => {
  it("is written by the first shard alone, also while its own shard is about to look again", async () => {
    await using world = await createFleet();
    const dead = await world.seed({ id: await world.idIn(SHARD) }, { status: "PAUSED" });
    const { sql } = world.database;
    // A worker that waits for one observation more than the others: the run is in the pages of both.
    const patient = { ...FOUR, WATCHDOG_CONFIRMATIONS: "3" };
    const quick = { ...FOUR, WATCHDOG_CONFIRMATIONS: "2" };
    await world.sweep({ env: patient, shard: SHARD });
    await sql`UPDATE watchdog.suspicions SET presumed_last_at = now() - interval '1 hour'`;
    await sql`UPDATE automation_runs SET timeout_at = now() - interval '1 minute'`;
    const first: SweepReport[] = [];
    const own = await world.sweep({
      env: patient,
      shard: SHARD,
      replace: atPoint("between the answer and the write", async () => {
        first.push(await world.sweep({ env: quick, shard: 0 }));
      }),
    });
    expect(own.counts).toMatchObject({ stale: 1, lostRace: 1 });
    expect(first[0]?.counts).toMatchObject({ stale: 1, failed: 1 });
    expect(await journal(world)).toMatchObject([
      { run_id: dead.id, shard: 0, basis: "presumption" },
    ]);
  });
});

/** A fleet that has noted how it divides the runs. */
async function createFleet(): Promise<World> {
  const world = await createWorld();
  await world.sweep({ env: FOUR, shard: 0 });
  return world;
}

/** The shard's sweep; when all its runs have come to the point, they wait for what others do meanwhile. */
function sweepMeanwhile(
  world: World,
  point: Point,
  runs: number,
  work: () => Promise<unknown>,
): Promise<SweepReport> {
  const { promise: done, resolve } = Promise.withResolvers<unknown>();
  let come = 0;
  const replace = atPoint(point, () => {
    come += 1;
    if (come === runs) resolve(work());
    return done;
  });
  return world.sweep({ env: FOUR, shard: SHARD, replace });
}

/** As a store does that lost its memory: the leases are free although their holders know nothing of it. */
async function forgetLeases({ database: { sql } }: World): Promise<void> {
  await sql`UPDATE watchdog.leadership SET lease_expires_at = NULL`;
  await sql`UPDATE watchdog.shards SET lease_expires_at = NULL`;
}

/** No shard made progress for so long that a worker that divides the runs otherwise may begin. */
async function seemDead({ database: { sql } }: World): Promise<void> {
  await sql`UPDATE watchdog.leadership SET progressed_at = now() - interval '1 day'`;
  await sql`UPDATE watchdog.shards SET progressed_at = now() - interval '1 day'`;
}

type Ended = Partial<Awaited<ReturnType<typeof seedSampleRuns>>["byOutcome"]>;

async function expectVerdicts(
  world: World,
  { completed, failed, presumed }: Ended,
  by: { readonly shard: number; readonly epoch: number },
): Promise<void> {
  const { shard, epoch } = by;
  const ended = by.shard === 0 ? [completed, failed, presumed] : [completed, failed];
  const found = (await journal(world)).map((row) => [row.run_id, row.shard, row.epoch].join(" "));
  const expected = ended.flatMap((run) => (run ? [[run.id, shard, epoch].join(" ")] : []));
  expect(found.sort()).toEqual(expected.sort());
}
