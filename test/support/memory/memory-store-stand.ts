import { type Shard, WHOLE } from "../../../src/rules/fleet/shard.ts";
import { complete, MIN_MS, minutes, type StoreStand } from "../stands/store-stand.ts";
import { takeEpoch } from "../stands/stores.ts";
import { FakeClock } from "./fake-clock.ts";
import { MemoryDatabase, type MemoryRun } from "./memory-database.ts";
import { MemoryFleet } from "./memory-fleet.ts";
import { MemoryJournalReader } from "./memory-journal-reader.ts";
import { MemoryLeadership } from "./memory-leadership.ts";
import { MemoryStore } from "./memory-store.ts";

/** @param shard whose leader writes. */
export async function memoryStoreStand(of: Shard = WHOLE): Promise<StoreStand> {
  const clock = new FakeClock();
  const db = new MemoryDatabase(clock);
  const leadership = new MemoryLeadership(db);
  if (of.index > 0) await takeEpoch({ leadership }, { index: 0, count: of.count });
  const fence = await takeEpoch({ leadership }, of);
  const ago = (ms: number | null) => minutes(ms === null ? null : db.nowMs() - ms);
  const at = (minutesAgo: number) => db.nowMs() - minutesAgo * MIN_MS;
  return {
    store: new MemoryStore(db),
    leadership,
    fleet: new MemoryFleet(db),
    reader: new MemoryJournalReader(db),
    shard: of,
    fence,
    async add(seed = {}) {
      const { overdueMin, beganMin, ...run } = complete(db.runs.size + 1, seed);
      const timeoutAtMs = overdueMin === null ? null : at(overdueMin);
      return db.add({ ...run, timeoutAtMs, beganAtMs: at(beganMin) }).id;
    },
    async change(runId, { overdueMin, beganMin, ...changes }) {
      const deadline = overdueMin === undefined ? {} : { timeoutAtMs: at(overdueMin) };
      const start = beganMin === undefined ? {} : { beganAtMs: at(beganMin) };
      db.change(runId, { ...changes, ...deadline, ...start } satisfies Partial<MemoryRun>);
    },
    remove: async (runId) => void db.runs.delete(runId),
    async run(runId) {
      const row = db.runs.get(runId);
      if (row === undefined) return null;
      const { status, timeoutAtMs, statusDetail } = row;
      return { status, overdueMin: ago(timeoutAtMs), statusDetail };
    },
    async remembered(runId) {
      const row = db.suspicions.get(runId);
      if (row === undefined) return null;
      const { firstDeadlineAtMs, notedAtMs, presumedLastAtMs, unknownSinceMs, ...rest } = row;
      const { errorRetryAtMs, heldSinceMs, beganAtMs: _, lookAtMs, shieldAtMs, ...counters } = rest;
      return {
        ...counters,
        firstDeadline: ago(firstDeadlineAtMs),
        noted: ago(notedAtMs),
        presumedLast: ago(presumedLastAtMs),
        unknownSince: ago(unknownSinceMs),
        errorRetry: ago(errorRetryAtMs),
        heldSince: ago(heldSinceMs),
        look: ago(lookAtMs),
        shield: ago(shieldAtMs),
      };
    },
    async verdicts(runId) {
      return db.verdicts
        .filter((row) => row.runId === runId)
        .map(({ reason, overrideReason }) => ({ reason, overrideReason }));
    },
    pauses: async () =>
      db.pauses.map(({ untilMs, ...pause }) => ({ ...pause, until: ago(untilMs) })),
    pass: (ms) => clock.advance(ms),
    async whileLocked(runId, work) {
      db.locked.add(runId);
      await work();
      db.locked.delete(runId);
    },
    takeOver: () => takeEpoch({ leadership }, of),
    [Symbol.asyncDispose]: async () => undefined,
  };
}
