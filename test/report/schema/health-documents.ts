/** What `status` prints and the health endpoint answers. */
import { z } from "zod";
import type { HealthDocument, LivezDocument, ReadyzDocument } from "../../../src/app/health.ts";
import type { ErrorDocument } from "../../../src/io/health/server.ts";
import type { StatusDocument } from "../../../src/report/status.ts";
import { MOST_SHARDS } from "../../../src/rules/fleet/shard.ts";
import { count, pause, reasons, schemaOf, time, version, waiting } from "./schema-of.ts";
import { sweepReport } from "./sweep-documents.ts";

const status = z.enum(["ok", "degraded", "failing"]);
const holder = z.string().describe("host, process id and a random part");
const leaseKind = z.enum(["redis", "postgres"]);
const role = z.enum(["sweeping", "observing", "standby", "idle"]);

const shard = {
  shard: count.max(MOST_SHARDS - 1),
  finishedSecondsAgo: z.int().nullable().describe("null as well while it is swept"),
  progressedSecondsAgo: z.int().nullable(),
};
const leader = holder.nullable().describe("who began its newest sweep; null when that one stopped");
/** As the database alone tells of them. */
const swept = z.strictObject({ ...shard, holder: leader });
/** As a worker tells of them. */
const led = z.strictObject({ ...shard, leader, role: role.describe("of this worker") });

function shards<Shard extends z.ZodType>(each: Shard) {
  return z.array(each).min(2).max(MOST_SHARDS).exactOptional();
}

export const statusDocument = schemaOf<StatusDocument>()(
  z.strictObject({
    version,
    status,
    exitCode: z.union([z.literal(0), z.literal(3), z.literal(4)]),
    reasons,
    readAt: time.describe("by the database's clock"),
    paused: pause,
    leader: z.strictObject({
      holder: holder.nullable().describe("who began the newest sweep; null when nobody ever did"),
      leaseKind: z.string().nullable().describe("null after an orderly stop"),
      epoch: count,
      progressedSecondsAgo: z.int().nullable(),
    }),
    lastSweep: z.strictObject({
      startedSecondsAgo: z.int().nullable(),
      finishedSecondsAgo: z.int().nullable().describe("null while it is under way"),
      status: z.string().nullable().describe("of the last full sweep that reached its end"),
      counts: z.record(z.string(), z.number()).nullable().describe("as in the report of once"),
    }),
    shards: shards(swept).describe("only with several: leader and lastSweep are the first one's"),
    waiting,
    held: z
      .array(
        z.strictObject({
          runId: z.string(),
          heldSeconds: z.int().nullable(),
          reason: z.string().nullable(),
        }),
      )
      .max(10)
      .describe("the oldest first"),
    cleanups: z.strictObject({
      pending: count,
      overdueSeconds: z.int().nullable().describe("of the oldest; null when none is overdue"),
    }),
    workers: z
      .array(
        z.strictObject({
          holder,
          version: z.string(),
          fingerprint: z.string().describe("of the settings without secrets"),
          leaseKind: z.string(),
          shards: count.exactOptional().describe("into how many it divides the runs, where not 1"),
          upSeconds: z.int().nullable(),
          seenSecondsAgo: z.int().nullable(),
          current: z.boolean().describe("false for one that is not seen any more"),
        }),
      )
      .describe("those that were seen last come first"),
  }),
);

export const healthDocument = schemaOf<HealthDocument>()(
  z.strictObject({
    status,
    reasons,
    mode: z.enum(["live", "observe"]),
    paused: pause,
    role: role.describe("with several shards the first of these that one of them has"),
    holder,
    lease: z.strictObject({
      kind: leaseKind,
      holder: z.string().nullable().describe("as far as the last attempt showed"),
      expiresAt: time.nullable(),
      heldForSeconds: count.nullable().describe("how long its holder has been sweeping under it"),
    }),
    sweep: z.strictObject({
      nextAt: time,
      own: sweepReport
        .omit({ runs: true, runsOmitted: true })
        .nullable()
        .describe("the last one of this worker"),
      fleet: z
        .strictObject({
          epoch: count,
          holder: holder.nullable(),
          startedAt: time.nullable(),
          finishedAt: time.nullable(),
        })
        .nullable()
        .describe("the last one of any worker; null while the database could not be read"),
    }),
    shards: shards(led).describe("only with several: sweep.fleet is the first one's"),
    backlog: z
      .strictObject({
        countedAt: time.nullable(),
        stale: count.nullable(),
        deferred: count.nullable(),
        held: count.nullable(),
        failing: count.nullable(),
        oldestOverdueSeconds: z.int().nullable(),
        cleanups: count.nullable(),
      })
      .describe("as of this worker's own last sweep"),
    waiting: waiting.nullable().describe("of the whole fleet; null before the first look"),
    guard: z.strictObject({
      heldFor: z.string().nullable().describe("why verdicts were held back in the last sweep"),
    }),
    api: z
      .strictObject({
        breaker: z.enum(["closed", "half-open", "open"]),
        refusal: z.string().nullable().describe("why it is not asked now"),
        pausedForSeconds: count,
        concurrency: count.nullable(),
      })
      .nullable()
      .describe("the API that all runs share; null for a backend without one"),
    configuration: z.string().describe("a fingerprint of the settings without secrets"),
    build: z.strictObject({ version: z.string(), node: z.string() }),
  }),
);

export const livezDocument = schemaOf<LivezDocument>()(
  z.strictObject({ status: z.enum(["ok", "failing"]), reasons }),
);

export const readyzDocument = schemaOf<ReadyzDocument>()(
  z.strictObject({ status: z.enum(["ok", "not ready"]), reasons }),
);

export const errorDocument = schemaOf<ErrorDocument>()(z.strictObject({ error: z.string() }));
