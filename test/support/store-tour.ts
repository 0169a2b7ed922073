import type { Sql } from "postgres";
import { expect } from "vitest";
import { seedRun } from "../../src/demo/seed.ts";
import {
  completing,
  deferring,
  failing,
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
  expect(await store.facts(failed, fence.epoch)).toEqual({ ...facts, journaled: true });
  expect(await store.facts(deferred, fence.epoch)).toEqual({ ...facts, journaled: false });

  await tourJournal(stores, fence);
  expect(await leadership.progress(fence)).toBe(true);
  expect(await leadership.finish(fence, { status: "ok" })).toBe(true);
  await leadership.clearLeaseKind(fence.epoch);
  expect(await leadership.read()).toMatchObject({ epoch: fence.epoch, leaseKind: null });
}

async function tourJournal(
  { journal }: TestStores,
  fence: Awaited<ReturnType<typeof takeEpoch>>,
): Promise<void> {
  const [done, failed] = await journal.claimCleanups(fence, 10);
  if (!(done && failed)) throw new Error("a clean-up is missing");
  await journal.cleanupDone(done.id, fence);
  expect(await journal.cleanupFailed(failed.id, "status 500", 1000, fence)).toBe("pending");
  expect(await journal.pendingCleanups()).toBe(1);
  const [first] = await journal.openFirstRuns(null, 10);
  if (!first) throw new Error("no first run is open");
  expect(await journal.recordFirstRun(first, '{"template":"t","first_run":1}', fence)).toBe(true);
  await journal.firstRunDone(first.automationId, fence);
  expect(await journal.openFirstRuns(null, 10)).toEqual([]);
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
