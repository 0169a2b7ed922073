import { describe } from "vitest";
import { describeRecords } from "../../../conformance/journal/records.ts";
import { describeThrottle } from "../../../conformance/leadership.ts";
import { describeDeferrals } from "../../../conformance/runs/deferrals.ts";
import { describeBacklog, describeGuardFacts } from "../../../conformance/runs/guard.ts";
import {
  describeFailures,
  describeFencedNotes,
  describeForgetting,
} from "../../../conformance/runs/notes.ts";
import { describePages } from "../../../conformance/runs/pages.ts";
import { describeControlRuns, describeReads } from "../../../conformance/runs/reads.ts";
import { describeShields } from "../../../conformance/runs/shields.ts";
import { describeSkipped } from "../../../conformance/runs/skipped.ts";
import { describeWaiting } from "../../../conformance/runs/waiting.ts";
import { describeLostWrites, describeVerdicts } from "../../../conformance/runs/writes.ts";
import { describeShards } from "../../../conformance/shards.ts";
import { leaders } from "../../../support/stands/leaders.ts";
import { postgresStoreStand } from "../../../support/stands/postgres-store-stand.ts";

for (const { shard, as } of leaders({ index: 2, count: 4 })) {
  const open = () => postgresStoreStand(shard);
  describe(`the pages of PostgresRunStore${as}`, () => describePages(open));
  describe(`a run read from PostgresRunStore${as}`, () => describeReads(open));
  describe(`the control runs of PostgresRunStore${as}`, () => describeControlRuns(open));
  describe(`a deferral in PostgresRunStore${as}`, () => describeDeferrals(open));
  describe(`a shield in PostgresRunStore${as}`, () => describeShields(open));
  describe(`a write to PostgresRunStore that does not happen${as}`, () => describeLostWrites(open));
  describe(`a verdict in PostgresRunStore${as}`, () => describeVerdicts(open));
  describe(`PostgresRunStore, deferring skipped runs${as}`, () => describeSkipped(open));
  describe(`a failure in PostgresRunStore${as}`, () => describeFailures(open));
  describe(`PostgresRunStore under a fence${as}`, () => describeFencedNotes(open));
  describe(`the waiting runs of PostgresRunStore${as}`, () => describeWaiting(open));
  describe(`the backlog of PostgresRunStore${as}`, () => describeBacklog(open));
  describe(`PostgresLeadership${as}`, () => describeThrottle(open));
  describe(`PostgresJournalReader and a single run${as}`, () => describeRecords(open));
}

/** What only the leader of the first shard does. */
for (const { shard, as } of leaders({ index: 0, count: 4 })) {
  const open = () => postgresStoreStand(shard);
  describe(`PostgresRunStore, forgetting${as}`, () => describeForgetting(open));
  describe(`what PostgresRunStore tells a guard${as}`, () => describeGuardFacts(open));
}

describe("the shards in Postgres", () => describeShards(postgresStoreStand));
