/**
 * The JSON documents that the commands print. `npm run docs:schema` writes docs/schema/ from here. A new document needs
 * an entry with the TypeScript type that it is printed from, a file name, and `documentProblems` in a test of its command.
 */
import { z } from "zod";
import type { ProblemReport } from "../../../src/report/problems.ts";
import type { SweepReport } from "../../../src/rules/report.ts";

type Mutable<T> = T extends readonly (infer Item)[]
  ? Mutable<Item>[]
  : T extends object
    ? { -readonly [Key in keyof T]: Mutable<T[Key]> }
    : T;

type Same<A, B> = [A] extends [B] ? ([B] extends [A] ? true : never) : never;

/** A schema of exactly this type: the compiler refuses one that is wider or narrower, or lacks a key. */
function schemaOf<T>() {
  return <S extends z.ZodType>(
    schema: S & (Same<z.output<S>, Mutable<T>> extends true ? S : never),
  ) => schema;
}

const count = z.int().nonnegative();
const time = z.iso.datetime();

const outcome = z.strictObject({
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
});

const sweepReport = z.strictObject({
  version: z.literal(1),
  status: z.enum(["ok", "partial", "held", "lease-held", "unavailable", "interrupted", "error"]),
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
  waiting: z
    .strictObject({
      alive: count,
      suspected: count,
      held: count,
      unanswered: count,
      failing: count,
      nextLookAt: time.nullable().describe("when the first of them is looked at again"),
    })
    .nullable()
    .describe("runs that wait for their next look; null when they could not be counted"),
  message: z.string().nullable().describe("what is wrong, with its cause and what to do about it"),
  cleanups: z.strictObject({ done: count, pending: count, abandoned: count }),
  runs: z.array(outcome).max(1000).describe("in the order they ended"),
  runsOmitted: count,
});

const problemReport = z.strictObject({
  version: z.literal(1),
  status: z.enum(["unusable", "unavailable", "error"]),
  exitCode: count,
  problems: z.array(z.string()).min(1).describe("every problem, one line each"),
});

/** By the name of its file in docs/schema/. */
export const DOCUMENTS = {
  "once.json": {
    title: "run-watchdog once --output json",
    schema: schemaOf<SweepReport>()(sweepReport),
  },
  "problems.json": {
    title: "any command that prints JSON, when it is refused before its own document",
    schema: schemaOf<ProblemReport>()(problemReport),
  },
} as const satisfies Readonly<
  Record<string, { readonly title: string; readonly schema: z.ZodType }>
>;

export type DocumentName = keyof typeof DOCUMENTS;
