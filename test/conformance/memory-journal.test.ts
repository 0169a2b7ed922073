import { describe } from "vitest";
import { memoryJournalStand as open } from "../support/stands/journal-stand.ts";
import { describeDeferred } from "./journal/deferred.ts";
import { describeFirstRuns } from "./journal/first-runs.ts";
import { describeClaims, describeSharedSandboxes } from "./journal/journal.ts";
import { describeOverdueStamps } from "./journal/overdue.ts";
import { describeOverturned } from "./journal/overturned.ts";
import { describeHistory } from "./journal/reader.ts";
import { describeStamps } from "./journal/stamps.ts";
import { describeAdoption, describeNotes, describePruning } from "./journal/upkeep.ts";

describe("the in-memory journal's claims", () => describeClaims(open));
describe("the in-memory journal and verdicts on the same sandbox", () =>
  describeSharedSandboxes(open));
describe("the in-memory journal's notes", () => describeNotes(open));
describe("the in-memory journal and sandboxes named late", () => describeAdoption(open));
describe("the in-memory journal and first runs", () => describeFirstRuns(open));
describe("the in-memory journal and deferred deletions", () => describeDeferred(open));
describe("the in-memory journal's stamps", () => describeStamps(open));
describe("the in-memory journal and overdue stamps", () => describeOverdueStamps(open));
describe("the in-memory journal's pruning", () => describePruning(open));
describe("the in-memory journal, read later", () => describeHistory(open));
describe("MemoryJournal.markOverturned", () => describeOverturned(open));
