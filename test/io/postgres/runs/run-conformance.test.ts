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
import { postgresStoreStand as open } from "../../../support/stands/postgres-store-stand.ts";

describe("the pages of PostgresRunStore", () => describePages(open));
describe("a run read from PostgresRunStore", () => describeReads(open));
describe("the control runs of PostgresRunStore", () => describeControlRuns(open));
describe("a deferral in PostgresRunStore", () => describeDeferrals(open));
describe("a shield in PostgresRunStore", () => describeShields(open));
describe("a write to PostgresRunStore that does not happen", () => describeLostWrites(open));
describe("a verdict in PostgresRunStore", () => describeVerdicts(open));
describe("PostgresRunStore, deferring skipped runs", () => describeSkipped(open));
describe("a failure in PostgresRunStore", () => describeFailures(open));
describe("PostgresRunStore, forgetting", () => describeForgetting(open));
describe("PostgresRunStore under a fence", () => describeFencedNotes(open));
describe("what PostgresRunStore tells a guard", () => describeGuardFacts(open));
describe("the waiting runs of PostgresRunStore", () => describeWaiting(open));
describe("the backlog of PostgresRunStore", () => describeBacklog(open));
describe("PostgresLeadership", () => describeThrottle(open));
describe("PostgresJournalReader and a single run", () => describeRecords(open));
