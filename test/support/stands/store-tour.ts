import type { Sql } from "postgres";
import { expect } from "vitest";
import { observation } from "../../../src/rules/suspicion.ts";
import { seedRun, seedRuns } from "../../fake-host/seed.ts";
import {
  completing,
  deferring,
  FREELY,
  failing,
  leaving,
  queryNow,
  readRun,
  type TestStores,
  takeEpoch,
} from "./stores.ts";

const WRITTEN = { kind: "written" };

/** Everything a sweep does in an empty database, each with the outcome it must have. */
export async function tourStores(stores: TestStores, sql: Sql): Promise<void> {
  const { store, leadership } = stores;
  const fence = await takeEpoch(stores);
  const runs = [
    await seedRun(sql, { automation: { presetMetadata: { template: "t" } } }),
    await seedRun(sql),
    await seedRun(sql),
    await seedRun(sql, { timeoutAt: null, startedAgoMs: 2 * 86_400_000 }),
  ];
  const query = await queryNow(stores);
  expect(await store.backlog(query)).toMatchObject({ count: 4 });
  expect(await idsInPages(stores, 3)).toEqual(new Set(runs.map(({ id }) => id)));

  const [failed, completed, deferred] = await Promise.all(
    runs.map(({ id }) => readRun(stores, id)),
  );
  if (!(failed && completed && deferred)) throw new Error("a run is missing");
  expect(await store.apply(failing(failed, { cleanupInMs: 0 }), fence)).toEqual(WRITTEN);
  expect(await store.apply(completing(completed), fence)).toEqual(WRITTEN);
  expect(await store.defer(deferring(deferred), fence)).toEqual(WRITTEN);
  expect(await store.defer(deferring(deferred), fence)).toEqual({ kind: "none" });
  const facts = { epochIsOurs: true, rowMatches: false };
  expect(await store.facts(failed, fence)).toEqual({ ...facts, journaled: true });
  expect(await store.facts(deferred, fence)).toEqual({ ...facts, journaled: false });

  await tourJournal(stores, fence);
  await tourSuspicions(stores, sql);
  const last = await takeEpoch(stores);
  const throttle = { pausedForMs: 60_000, concurrency: 2 };
  expect(await leadership.progress(last, throttle)).toBe(true);
  expect(await leadership.finish(last, { status: "ok" }, FREELY)).toBe(true);
  await leadership.clearLeaseKind(leaving(last.epoch));
  const seen = { epoch: last.epoch, leaseKind: null, lastStatus: "ok" };
  expect(await leadership.read()).toMatchObject(seen);
}

/** What is remembered of runs that stay RUNNING: written in every way there is, and read again. */
async function tourSuspicions(stores: TestStores, sql: Sql): Promise<void> {
  const { store } = stores;
  const fence = await takeEpoch(stores);
  const [presumed, erring, skipped, alive] = await seedRuns(
    sql,
    [60_000, 60_000, 60_000, -3_600_000].map((overdueMs) => ({ overdueMs })),
  );
  if (!(presumed && erring && skipped && alive)) throw new Error("a run is missing");
  const suspicion = observation(null, "sandbox gone", 0);
  const run = await readRun(stores, presumed.id);
  expect(await store.defer(deferring(run, { suspicion }), fence)).toEqual(WRITTEN);
  await store.noteError({ runId: erring.id, cause: "status 500", retryInMs: 60_000 }, fence);
  await store.deferSkipped(
    [skipped.id, alive.id],
    await queryNow(stores),
    { deferMs: 45_000, shieldMs: 0 },
    fence,
  );

  const query = { ...(await queryNow(stores)), includeSuspected: true };
  expect(await store.read(presumed.id, query)).toMatchObject({
    stale: true,
    suspicion: { presumedTimes: 1, presumedReason: "sandbox gone" },
  });
  const page = await store.stalePage(query, { part: "suspected", id: null }, 1);
  expect(page).toEqual({ ids: [presumed.id], next: { part: "suspected", id: presumed.id } });
  expect(await store.stalePage(query, page.next, 1)).toEqual({ ids: [], next: null });
  const facts = await store.guardFacts(2);
  expect(facts).toEqual({
    confirmable: 1,
    presumedLastHour: 1,
    provenLastHour: 1,
    lastAnswered: 0,
    othersAnswered: 0,
  });
  expect(
    (await store.controlRuns(query, ["sandboxId", "bashCommandId"], 1)).map(({ id }) => id),
  ).toEqual([alive.id]);
  expect(await store.backlog(query)).toMatchObject({ deferred: 2, held: 0, failing: 1 });
  const waiting = { suspected: 1, failing: 1, nextLookAt: expect.stringMatching(/Z$/) };
  expect(await store.waiting()).toMatchObject(waiting);
  await sql`UPDATE automation_runs SET status = 'CANCELLED'`;
  await store.dropSuspicions(fence);
  expect(await sql`SELECT FROM watchdog.suspicions`).toHaveLength(0);
}

async function tourJournal(
  { journal }: TestStores,
  fence: Awaited<ReturnType<typeof takeEpoch>>,
): Promise<void> {
  const [done, failed] = await journal.claimCleanups(fence, 10);
  if (!(done && failed)) throw new Error("a clean-up is missing");
  await journal.cleanupDone(done.id, null, fence);
  expect(await journal.cleanupFailed(failed.id, "status 500", 1000, fence)).toBe("pending");
  expect(await journal.pendingCleanups()).toBe(1);
  const [first] = await journal.openFirstRuns(null, 10, 0);
  if (!first) throw new Error("no first run is open");
  expect(await journal.recordFirstRun(first, '{"template":"t","first_run":1}', fence)).toBe(true);
  expect(await journal.closeOverturnedFirstRuns(fence)).toBe(0);
  await journal.firstRunDone(first.automationId, fence);
  expect(await journal.openFirstRuns(null, 10, 0)).toEqual([]);
  const plan = { cleanupInMs: 1000, deletionInMs: 2000 };
  expect(await journal.adoptLateSandboxes(plan, fence)).toBe(0);
  expect(await journal.adoptOverdueStamps(10, fence)).toBe(0);
  expect(await journal.prune(60_000, 10, fence)).toBe(0);
}

async function idsInPages(stores: TestStores, size: number): Promise<ReadonlySet<string>> {
  const query = await queryNow(stores);
  const ids: string[] = [];
  let page = await stores.store.stalePage(query, null, size);
  while (page.next !== null) {
    ids.push(...page.ids);
    page = await stores.store.stalePage(query, page.next, size);
  }
  return new Set([...ids, ...page.ids]);
}
