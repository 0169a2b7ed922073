/** What `history` and `explain` print. */
import { z } from "zod";
import type { HistoryDocument } from "../../../src/report/history/history.ts";
import type { Explanation } from "../../../src/rules/history/explanation.ts";
import type { JournaledVerdict, RunRecord } from "../../../src/rules/history/journal.ts";
import { GONE_REASONS } from "../../../src/rules/model.ts";
import { count, hostTime, pause, schemaOf, time, version } from "./schema-of.ts";
import { outcome } from "./sweep-documents.ts";

const failure = {
  source: z.string(),
  operation: z.string(),
  problem: z.enum(["rate_limited", "timeout", "transport", "server_error", "unknown"]),
  status_code: z.int().nullable(),
};

const answered = [
  z.strictObject({
    kind: z.literal("exited"),
    exit_code: z.int(),
    stdout_chars: count,
    stderr_chars: count,
  }),
  z.strictObject({ kind: z.literal("failed"), detail_chars: count }),
  z.strictObject({ kind: z.literal("running"), output: z.enum(["none", "partial"]) }),
  z.strictObject({ kind: z.literal("gone"), reason: z.enum([...GONE_REASONS, "lost"]) }),
  z.strictObject({ kind: z.enum(["starting", "no-command"]) }),
] as const;

/** In TypeScript both are plain records: the journal's is read as it was written. */
type Evidence = z.ZodType<Record<string, unknown>>;

const journaledEvidence: Evidence = z.union([
  ...answered,
  z.strictObject({ kind: z.enum(["unreachable", "malformed"]), ...failure }),
]);

const heardEvidence: Evidence = z.union([
  ...answered,
  z.strictObject({
    kind: z.enum(["unreachable", "malformed"]),
    ...failure,
    cause: z.string(),
    message: z.string(),
    remedy: z.string().nullable(),
  }),
  z.strictObject({ kind: z.literal("not-asked"), reason: z.string() }),
]);

const suspicion = z.strictObject({
  firstDeadlineAt: hostTime.nullable(),
  presumedTimes: count.describe("observations before the one that led to the verdict"),
  presumedLastAt: time.nullable(),
  unknownTimes: count,
  unknownSince: time.nullable(),
  heldSince: time.nullable(),
});

const verdict = schemaOf<JournaledVerdict>()(
  z.strictObject({
    runId: z.string(),
    automationId: z.string().nullable(),
    decidedAt: time,
    outcome: z.string().describe("COMPLETED or FAILED"),
    basis: z.enum(["proof", "presumption"]),
    reason: z.string().describe("fixed vocabulary"),
    evidence: journaledEvidence.describe("codes, statuses and sizes; no text of a tenant"),
    epoch: count,
    holder: z.string().describe("host, process id and a random part"),
    trigger: z.string().describe("cron or once"),
    overrideReason: z.string().nullable().describe("why a person let it pass the guard"),
    suspicion: suspicion.nullable().describe("null when it was ended at first sight"),
    cleanup: z.strictObject({
      state: z.string().describe("none, pending, done or abandoned"),
      attempts: count,
      nextAt: time.nullable(),
      error: z.string().nullable(),
    }),
    overturned: z.boolean().describe("a presumption whose run has another end by now"),
    overturnedAt: time.nullable().describe("when that was noticed"),
    statusNow: z.string().nullable().describe("null when the host has removed the run"),
  }),
);

export const historyDocument = schemaOf<HistoryDocument>()(
  z.strictObject({
    version,
    verdicts: z.array(verdict).max(1000).describe("newest first"),
    more: z.boolean().describe("older ones were left out"),
  }),
);

const run = schemaOf<RunRecord>()(
  z.strictObject({
    runId: z.string(),
    automationId: z.string(),
    status: z.string(),
    beganAt: hostTime.nullable(),
    completedAt: hostTime.nullable(),
    timeoutAt: hostTime.nullable(),
    sandboxId: z.string().nullable(),
    bashCommandId: z.string().nullable(),
    timedOut: z.boolean().describe("FAILED with the text of a presumption, ours or another's"),
    dueAt: hostTime.nullable().describe("when a sweep takes it up"),
    shielded: z.boolean().describe("the deadline is one that a worker has set"),
    remembered: z
      .strictObject({
        firstDeadlineAt: hostTime,
        notedAt: time,
        presumedTimes: count,
        presumedReason: z.string().nullable(),
        presumedLastAt: time.nullable(),
        unknownTimes: count,
        unknownSince: time.nullable(),
        unknownCause: z.string().nullable(),
        errorTimes: count,
        errorCause: z.string().nullable(),
        errorRetryAt: time.nullable(),
        heldSince: time.nullable(),
      })
      .nullable()
      .describe("null: nothing, or it was about another start, sandbox or command"),
    readAt: time,
  }),
);

const rule = z.union([
  z.strictObject({ rule: z.literal("due"), due: z.boolean(), at: hostTime.nullable() }),
  z.strictObject({
    rule: z.literal("hard-deadline"),
    at: hostTime.nullable(),
    passed: z.boolean(),
    decides: z.boolean().describe("the other side of it leads to another verdict"),
  }),
  z.strictObject({
    rule: z.literal("evidence"),
    authoritative: z.boolean(),
    provesLife: z.boolean(),
  }),
  z.strictObject({ rule: z.literal("proof") }),
  z.strictObject({
    rule: z.literal("unverifiable"),
    since: time.nullable(),
    presumedAt: hostTime.nullable(),
    reached: z.boolean(),
  }),
  z.strictObject({
    rule: z.literal("confirmation"),
    needed: count,
    seen: count,
    missing: count,
    counts: z.boolean().describe("this sight is one more observation"),
  }),
  z.strictObject({
    rule: z.literal("guard"),
    asked: z.boolean(),
    heldFor: z.string().nullable(),
  }),
]);

const guard = z.strictObject({
  answered: count,
  presumed: count,
  massAbove: z.number().nonnegative().describe("more presumptions are a mass failure"),
  massFailure: z.boolean(),
  life: z.enum(["seen", "nobody-to-ask", "none"]).nullable().describe("null: not looked for"),
  presumedLastHour: count,
  hourlyCap: count,
  boundAt: hostTime.nullable().describe("from then on only the hourly cap can hold it"),
});

export const explainDocument = schemaOf<Explanation>()(
  z.strictObject({
    version,
    runId: z.string(),
    readAt: time.describe("by the database's clock"),
    run: run.nullable().describe("null when only the journal knows it"),
    nextLookAt: hostTime.nullable(),
    paused: pause.describe("null also when the run is not RUNNING, or nobody can say"),
    now: z
      .strictObject({
        evidence: heardEvidence.nullable().describe("null when nobody was asked"),
        outcome: outcome.omit({ runId: true }),
        againAt: time.nullable(),
        rules: z.array(rule).describe("in the order in which they apply"),
        guard,
      })
      .nullable()
      .describe("what a sweep would do with it; null when it is not RUNNING"),
    verdicts: z.array(verdict).max(20).describe("newest first"),
  }),
);
