import { describe } from "vitest";
import { describeRestraint } from "../../../conformance/leadership.ts";
import { describeDeferrals } from "../../../conformance/runs/deferrals.ts";
import { describeBacklog, describeGuardFacts } from "../../../conformance/runs/guard.ts";
import {
  describeFailures,
  describeFencedNotes,
  describeForgetting,
} from "../../../conformance/runs/notes.ts";
import { describePages } from "../../../conformance/runs/pages.ts";
import { describeCanaries, describeReads } from "../../../conformance/runs/reads.ts";
import { describeShields } from "../../../conformance/runs/shields.ts";
import { describeUnasked } from "../../../conformance/runs/skipped.ts";
import { describeLostWrites, describeVerdicts } from "../../../conformance/runs/writes.ts";
import { postgresStoreStand as open } from "../../../support/stands/postgres-store-stand.ts";

describe("the pages of PostgresRunStore", () => describePages(open));
describe("a run read from PostgresRunStore", () => describeReads(open));
describe("the canaries of PostgresRunStore", () => describeCanaries(open));
describe("a deferral in PostgresRunStore", () => describeDeferrals(open));
describe("a shield in PostgresRunStore", () => describeShields(open));
describe("a write to PostgresRunStore that does not happen", () => describeLostWrites(open));
describe("a verdict in PostgresRunStore", () => describeVerdicts(open));
describe("PostgresRunStore, deferring unasked", () => describeUnasked(open));
describe("a failure in PostgresRunStore", () => describeFailures(open));
describe("PostgresRunStore, forgetting", () => describeForgetting(open));
describe("PostgresRunStore under a fence", () => describeFencedNotes(open));
describe("what PostgresRunStore tells a guard", () => describeGuardFacts(open));
describe("the backlog of PostgresRunStore", () => describeBacklog(open));
describe("PostgresLeadership", () => describeRestraint(open));
