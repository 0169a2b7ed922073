import { describe, expect, it } from "vitest";
import type { SweepReport } from "../../src/rules/report.ts";
import { journalWith } from "../support/stands/journal-double.ts";
import { meeting } from "../support/stands/meeting.ts";
import { seedExited } from "../support/world/proven-runs.ts";
import { createWorld, type World } from "../support/world/world.ts";
import { FLEETS } from "./fleets.ts";
import { atPoint, type Point } from "./interleavings.ts";
import { pauseCommits } from "./paused-commit.ts";
import {
  actionsOf,
  deleted,
  journal,
  type SampleRuns,
  seedSampleRuns,
  UNDISTURBED,
  wholeRow,
} from "./sample-runs.ts";

/** A leader that trusts its lease for longer than a test takes. */
const TRUSTING = {
  WATCHDOG_LEASE_TTL: "10m",
  WATCHDOG_LEASE_RENEW: "4m",
  WATCHDOG_CLEANUP_DELAY: "0s",
};
const OLDER = 1;
const NEWER = 2;

describe.each(FLEETS)("two watchdogs that both believe they lead$as", ({ divided }) => {
  const env = { ...TRUSTING, ...divided };
  const points: readonly Point[] = [
    "between the page and the re-read",
    "between the re-read and the question",
    "between the answer and the write",
  ];

  it.each(points)(
    "leave each run to the newer epoch when it sweeps %s of the older",
    async (point) => {
      await using world = await createWorld();
      const sample = await seedSampleRuns(world);
      let newer: SweepReport | null = null;
      const rows = new Map<string, unknown>();
      const together = meeting(sample.runs.length, async () => {
        await forgetLease(world);
        newer = await world.sweep({ env });
        for (const { id } of sample.runs) rows.set(id, await wholeRow(world, id));
      });

      const older = await world.sweep({ env, replace: atPoint(point, together) });
      expect(older).toMatchObject({ epoch: OLDER, status: "error", exitCode: 1 });
      expect(older.counts).toMatchObject({ completed: 0, failed: 0, deferred: 0, undetermined: 0 });
      expect(newer).toMatchObject({ epoch: NEWER, status: "partial" });
      for (const { id } of sample.runs) expect(await wholeRow(world, id)).toEqual(rows.get(id));
      await expectOneVerdictEach(world, sample, NEWER);
      await expectOneDeletionEach(world, sample);
    },
  );

  it("leave every write to the newer epoch when the older one writes first", async () => {
    await using world = await createWorld();
    const sample = await seedSampleRuns(world);
    const { promise: go, resolve: goOn } = Promise.withResolvers<void>();
    const { promise: waits, resolve: isWaiting } = Promise.withResolvers<void>();
    const point = "between the answer and the write";

    const hold = meeting(sample.runs.length, () => {
      isWaiting();
      return go;
    });
    const older = world.sweep({ env, replace: atPoint(point, hold) });
    await waits;
    await forgetLease(world);
    // The rows still are what both have read: nothing but the epoch stands between the older one and its writes.
    const afterTheOlder = meeting(sample.runs.length, async () => {
      goOn();
      expect(await older).toMatchObject({ epoch: OLDER, status: "error", counts: { stale: 0 } });
      expect(await journal(world)).toEqual([]);
      for (const { id } of sample.runs) {
        expect(await world.row(id)).toMatchObject({ status: "RUNNING", status_detail: null });
      }
    });
    const newer = await world.sweep({ env, replace: atPoint(point, afterTheOlder) });
    expect(newer).toMatchObject({ epoch: NEWER, status: "partial" });
    expect(actionsOf(newer, sample)).toEqual(UNDISTURBED);
    await expectOneVerdictEach(world, sample, NEWER);
    await expectOneDeletionEach(world, sample);
  });

  it("leave the clean-up to the newer epoch when the older one comes first", async () => {
    await using world = await createWorld();
    const sample = await seedSampleRuns(world);
    const { promise: begun, resolve: hasBegun } = Promise.withResolvers<void>();
    const { promise: go, resolve: goOn } = Promise.withResolvers<void>();
    const overtaken = Promise.withResolvers<void>();
    let newer: Promise<SweepReport> | null = null;
    const together = meeting(3, async () => {
      await forgetLease(world);
      newer = world.sweep({
        env,
        replace: ({ journal }) => ({
          journal: journalWith(journal, {
            claimCleanups: async (...args) => {
              hasBegun();
              await go;
              return journal.claimCleanups(...args);
            },
          }),
        }),
      });
      await begun;
      overtaken.resolve();
    });
    const older = await world.sweep({
      env,
      replace: (deps) => ({
        ...atPoint("between the write and the clean-up", together)(deps),
        journal: journalWith(deps.journal, {
          // Where one write comes long before another, its clean-up would as well.
          claimCleanups: async (...args) => {
            await overtaken.promise;
            return deps.journal.claimCleanups(...args);
          },
        }),
      }),
    });
    expect(older).toMatchObject({ epoch: OLDER, status: "error", cleanups: { done: 0 } });
    expect(deleted(world)).toEqual([]);
    goOn();
    expect(await newer).toMatchObject({ epoch: NEWER, cleanups: { done: 3, pending: 0 } });
    await expectOneVerdictEach(world, sample, OLDER);
    await expectOneDeletionEach(world, sample);
  });

  it("write a run once when the older one's statement was under way as the epoch moved", async () => {
    await using world = await createWorld();
    await using commits = await pauseCommits(world.database);
    const run = await seedExited(world, 1);
    const older = world.sweep({ env });
    await commits.waiting(1);
    await forgetLease(world);
    const newer = await world.sweep({ env });
    expect(newer).toMatchObject({ epoch: NEWER, counts: { busy: 1, failed: 0 } });

    await commits.release();
    expect(await older).toMatchObject({ epoch: OLDER, status: "error", counts: { failed: 1 } });
    expect(await journal(world)).toMatchObject([{ run_id: run.id, epoch: OLDER }]);
    expect(await world.row(run.id)).toMatchObject({ status: "FAILED" });
  });
});

/** As a store does that lost its memory: the lease is free although its holder knows nothing of it. */
async function forgetLease({ database }: World): Promise<void> {
  await database.sql`UPDATE watchdog.leadership SET lease_expires_at = NULL`;
  await database.sql`UPDATE watchdog.shards SET lease_expires_at = NULL`;
}

async function expectOneVerdictEach(
  world: World,
  { byOutcome }: SampleRuns,
  epoch: number,
): Promise<void> {
  const { completed, failed, presumed } = byOutcome;
  const verdicts = (await journal(world)).map((row) => `${row.run_id} in epoch ${row.epoch}`);
  expect(verdicts.sort()).toEqual(
    [completed, failed, presumed].map(({ id }) => `${id} in epoch ${epoch}`).sort(),
  );
}

async function expectOneDeletionEach(world: World, { byOutcome }: SampleRuns): Promise<void> {
  const { completed, failed, presumed } = byOutcome;
  expect([...deleted(world)].sort()).toEqual(
    [completed, failed, presumed].map(({ sandboxId }) => sandboxId).sort(),
  );
}
