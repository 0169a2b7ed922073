import type { Db } from "../connection/session.ts";
import type { HostColumns } from "../host-tables.ts";
import { buildDeferSkipped, buildDropSuspicions, buildNoteError } from "./run-notes.ts";
import { buildPageWithoutDeadline, buildStalePage, buildSuspectedPage } from "./run-pages.ts";
import {
  buildBacklog,
  buildControlRuns,
  buildFacts,
  buildGuardFacts,
  buildRead,
} from "./run-reads.ts";
import { buildApply, buildDefer } from "./run-writes.ts";

/**
 * The statements of the run store, built once per connection and shape of the host's tables. Each is one autocommit
 * statement; a row lock is taken with NOWAIT or SKIP LOCKED and held for that statement only.
 */
export type RunStatements = ReturnType<typeof runStatements>;

export function runStatements(host: HostColumns) {
  return {
    backlog: buildBacklog,
    stalePage: buildStalePage,
    pageWithoutDeadline: buildPageWithoutDeadline,
    suspectedPage: buildSuspectedPage,
    read: (db: Db) => buildRead(db, host),
    apply: (db: Db) => buildApply(db, host),
    defer: (db: Db) => buildDefer(db, host),
    deferSkipped: buildDeferSkipped,
    noteError: buildNoteError,
    dropSuspicions: buildDropSuspicions,
    guardFacts: buildGuardFacts,
    controlRuns: (db: Db) => buildControlRuns(db, host),
    facts: buildFacts,
  };
}
