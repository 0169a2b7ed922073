import { describe } from "vitest";
import { postgresJournalStand as open } from "../../support/postgres-journal-stand.ts";
import { describeClaims, describeSharedSandboxes } from "../journal-conformance.ts";
import { describeDeferred } from "../journal-deferred-conformance.ts";
import { describeFirstRuns } from "../journal-first-runs-conformance.ts";
import { describeOverdueStamps } from "../journal-overdue-conformance.ts";
import { describeStamps } from "../journal-stamps-conformance.ts";
import { describeAdoption, describeNotes, describePruning } from "../journal-upkeep-conformance.ts";

describe("PostgresJournal.claimCleanups", () => describeClaims(open));
describe("PostgresJournal and verdicts on the same sandbox", () => describeSharedSandboxes(open));
describe("PostgresJournal.cleanupDone and cleanupFailed", () => describeNotes(open));
describe("PostgresJournal.adoptLateSandboxes", () => describeAdoption(open));
describe("PostgresJournal and first runs", () => describeFirstRuns(open));
describe("PostgresJournal and deferred deletions", () => describeDeferred(open));
describe("PostgresJournal and the host's stamps", () => describeStamps(open));
describe("PostgresJournal.adoptOverdueStamps", () => describeOverdueStamps(open));
describe("PostgresJournal.prune", () => describePruning(open));
