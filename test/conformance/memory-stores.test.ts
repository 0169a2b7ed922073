import { describe } from "vitest";
import { memoryStoreStand as open } from "../support/memory/memory-store-stand.ts";
import { describeThrottle } from "./leadership-conformance.ts";
import { describeDeferrals } from "./run-deferrals-conformance.ts";
import { describeBacklog, describeGuardFacts } from "./run-guard-conformance.ts";
import {
  describeFailures,
  describeFencedNotes,
  describeForgetting,
} from "./run-notes-conformance.ts";
import { describePages } from "./run-pages-conformance.ts";
import { describeControlRuns, describeReads } from "./run-reads-conformance.ts";
import { describeShields } from "./run-shields-conformance.ts";
import { describeSkipped } from "./run-skipped-conformance.ts";
import { describeLostWrites, describeVerdicts } from "./run-writes-conformance.ts";

describe("the pages of the in-memory store", () => describePages(open));
describe("a run read from the in-memory store", () => describeReads(open));
describe("the control runs of the in-memory store", () => describeControlRuns(open));
describe("a deferral in the in-memory store", () => describeDeferrals(open));
describe("a shield in the in-memory store", () => describeShields(open));
describe("a write to the in-memory store that does not happen", () => describeLostWrites(open));
describe("a verdict in the in-memory store", () => describeVerdicts(open));
describe("the in-memory store, deferring skipped runs", () => describeSkipped(open));
describe("a failure in the in-memory store", () => describeFailures(open));
describe("the in-memory store, forgetting", () => describeForgetting(open));
describe("the in-memory store under a fence", () => describeFencedNotes(open));
describe("what the in-memory store tells a guard", () => describeGuardFacts(open));
describe("the backlog of the in-memory store", () => describeBacklog(open));
describe("the in-memory leadership row", () => describeThrottle(open));
