import { describe } from "vitest";
import {
  describeClaims,
  describeSharedSandboxes,
} from "../../../conformance/journal-conformance.ts";
import { describeDeferred } from "../../../conformance/journal-deferred-conformance.ts";
import { describeFirstRuns } from "../../../conformance/journal-first-runs-conformance.ts";
import { describeOverdueStamps } from "../../../conformance/journal-overdue-conformance.ts";
import { describeStamps } from "../../../conformance/journal-stamps-conformance.ts";
import {
  describeAdoption,
  describeNotes,
  describePruning,
} from "../../../conformance/journal-upkeep-conformance.ts";
import { postgresJournalStand as open } from "../../../support/stands/postgres-journal-stand.ts";

describe("PostgresJournal.claimCleanups", () => describeClaims(open));
describe("PostgresJournal and verdicts on the same sandbox", () => describeSharedSandboxes(open));
describe("PostgresJournal.cleanupDone and cleanupFailed", () => describeNotes(open));
describe("PostgresJournal.adoptLateSandboxes", () => describeAdoption(open));
describe("PostgresJournal and first runs", () => describeFirstRuns(open));
describe("PostgresJournal and deferred deletions", () => describeDeferred(open));
describe("PostgresJournal and the host's stamps", () => describeStamps(open));
describe("PostgresJournal.adoptOverdueStamps", () => describeOverdueStamps(open));
describe("PostgresJournal.prune", () => describePruning(open));
