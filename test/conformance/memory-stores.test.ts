import { describe } from "vitest";
import { memoryStoreStand } from "../support/memory/memory-store-stand.ts";
import { leaders } from "../support/stands/leaders.ts";
import { describePauses, describeWorkers } from "./fleet.ts";
import { describeRecords } from "./journal/records.ts";
import { describeThrottle } from "./leadership.ts";
import { describeDeferrals } from "./runs/deferrals.ts";
import { describeBacklog, describeGuardFacts } from "./runs/guard.ts";
import { describeFailures, describeFencedNotes, describeForgetting } from "./runs/notes.ts";
import { describePages } from "./runs/pages.ts";
import { describeControlRuns, describeReads } from "./runs/reads.ts";
import { describeShields } from "./runs/shields.ts";
import { describeSkipped } from "./runs/skipped.ts";
import { describeWaiting } from "./runs/waiting.ts";
import { describeLostWrites, describeVerdicts } from "./runs/writes.ts";
import { describeShards } from "./shards.ts";

for (const { shard, as } of leaders({ index: 2, count: 4 })) {
  const open = () => memoryStoreStand(shard);
  describe(`the pages of the in-memory store${as}`, () => describePages(open));
  describe(`a run read from the in-memory store${as}`, () => describeReads(open));
  describe(`the control runs of the in-memory store${as}`, () => describeControlRuns(open));
  describe(`a deferral in the in-memory store${as}`, () => describeDeferrals(open));
  describe(`a shield in the in-memory store${as}`, () => describeShields(open));
  describe(`a write to the in-memory store that does not happen${as}`, () =>
    describeLostWrites(open));
  describe(`a verdict in the in-memory store${as}`, () => describeVerdicts(open));
  describe(`the in-memory store, deferring skipped runs${as}`, () => describeSkipped(open));
  describe(`a failure in the in-memory store${as}`, () => describeFailures(open));
  describe(`the in-memory store under a fence${as}`, () => describeFencedNotes(open));
  describe(`the waiting runs of the in-memory store${as}`, () => describeWaiting(open));
  describe(`the backlog of the in-memory store${as}`, () => describeBacklog(open));
  describe(`the in-memory leadership row${as}`, () => describeThrottle(open));
  describe(`a pause in memory${as}`, () => describePauses(open));
  describe(`a single run and its past in the in-memory store${as}`, () => describeRecords(open));
}

/** What only the leader of the first shard does. */
for (const { shard, as } of leaders({ index: 0, count: 4 })) {
  const open = () => memoryStoreStand(shard);
  describe(`the in-memory store, forgetting${as}`, () => describeForgetting(open));
  describe(`what the in-memory store tells a guard${as}`, () => describeGuardFacts(open));
  describe(`the in-memory list of workers${as}`, () => describeWorkers(open));
}

describe("the shards of the in-memory stores", () => describeShards(memoryStoreStand));
