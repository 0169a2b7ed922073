import { describe } from "vitest";
import { describeDeferred } from "../../../conformance/journal/deferred.ts";
import { describeFirstRuns } from "../../../conformance/journal/first-runs.ts";
import { describeClaims, describeSharedSandboxes } from "../../../conformance/journal/journal.ts";
import { describeOverdueStamps } from "../../../conformance/journal/overdue.ts";
import { describeOverturned } from "../../../conformance/journal/overturned.ts";
import { describeHistory } from "../../../conformance/journal/reader.ts";
import { describeStamps } from "../../../conformance/journal/stamps.ts";
import {
  describeAdoption,
  describeNotes,
  describePruning,
} from "../../../conformance/journal/upkeep.ts";
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
describe("PostgresJournalReader.verdicts", () => describeHistory(open));
describe("PostgresJournal.markOverturned", () => describeOverturned(open));
