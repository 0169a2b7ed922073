import { describe } from "vitest";
import { describeThrottle } from "../../../conformance/leadership-conformance.ts";
import { describeDeferrals } from "../../../conformance/run-deferrals-conformance.ts";
import { describeBacklog, describeGuardFacts } from "../../../conformance/run-guard-conformance.ts";
import {
  describeFailures,
  describeFencedNotes,
  describeForgetting,
} from "../../../conformance/run-notes-conformance.ts";
import { describePages } from "../../../conformance/run-pages-conformance.ts";
import { describeControlRuns, describeReads } from "../../../conformance/run-reads-conformance.ts";
import { describeShields } from "../../../conformance/run-shields-conformance.ts";
import { describeSkipped } from "../../../conformance/run-skipped-conformance.ts";
import {
  describeLostWrites,
  describeVerdicts,
} from "../../../conformance/run-writes-conformance.ts";
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
describe("the backlog of PostgresRunStore", () => describeBacklog(open));
describe("PostgresLeadership", () => describeThrottle(open));
