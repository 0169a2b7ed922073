/** What `once` prints, and any command that is refused. */
import { z } from "zod";
import type { ProblemReport } from "../../../src/report/problems.ts";
import type { RunOutcome, SweepReport } from "../../../src/rules/report.ts";
import { count, exitCode, schemaOf, time, version, waitingCounts } from "./schema-of.ts";

export const outcome = schemaOf<RunOutcome>()(
  z.strictObject({
    runId: z.string().describe("the id of the run in automation_runs"),
    action: z.enum([
      "completed",
      "failed",
      "deferred",
      "suspected",
      "undetermined",
      "lost-race",
      "busy",
      "held",
      "skipped",
      "error",
    ]),
    basis: z.enum(["proof", "presumption"]).nullable(),
    reason: z.string().nullable().describe("fixed vocabulary, never a tenant's text"),
    verifyMs: count.nullable().describe("how long the backend took; null when it was not asked"),
  }),
);

export const sweepReport = schemaOf<SweepReport>()(
  z.strictObject({
    version,
    status: z.enum([
      "ok",
      "partial",
      "held",
      "lease-held",
      "paused",
      "unavailable",
      "interrupted",
      "error",
    ]),
    exitCode: count,
    dryRun: z.boolean(),
    trigger: z.enum(["cron", "once"]),
    holder: z.string().describe("host, process id and a random part"),
    epoch: count.nullable().describe("null for a dry run, and when nothing was swept"),
    startedAt: time,
    finishedAt: time,
    durationMs: count,
    counts: z
      .strictObject({
        stale: count,
        completed: count,
        failed: count,
        deferred: count,
        suspected: count,
        undetermined: count,
        lostRace: count,
        busy: count,
        held: count,
        skipped: count,
        errors: count,
      })
      .describe("stale is the sum of the others"),
    waiting: waitingCounts
      .nullable()
      .describe("runs that wait for their next look; null when they could not be counted"),
    message: z
      .string()
      .nullable()
      .describe("what is wrong, with its cause and what to do about it"),
    cleanups: z.strictObject({ done: count, pending: count, abandoned: count }),
    runs: z.array(outcome).max(1000).describe("in the order they ended"),
    runsOmitted: count,
  }),
);

export const problemReport = schemaOf<ProblemReport>()(
  z.strictObject({
    version,
    status: z.enum(["unusable", "unknown-run", "unavailable", "error"]),
    exitCode,
    problems: z.array(z.string()).min(1).describe("every problem, one line each"),
  }),
);
