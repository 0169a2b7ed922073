import type { Sql } from "postgres";
import { type Shard, WHOLE } from "../../../src/rules/fleet/shard.ts";
import { seedRun } from "../../fake-host/seed.ts";
import { createDatabase } from "../../services/postgres/database.ts";
import {
  complete,
  MIN_MS,
  minutes,
  type StoredPause,
  type StoredSuspicion,
  type StoredVerdict,
  type StoreStand,
} from "./store-stand.ts";
import { openStores, takeEpoch } from "./stores.ts";

/** @param shard whose leader writes. */
export async function postgresStoreStand(
  shard: Shard = WHOLE,
): Promise<StoreStand & { readonly sql: Sql }> {
  await using resources = new AsyncDisposableStack();
  const { sql, connection } = resources.use(await createDatabase());
  const stores = resources.use(openStores(connection));
  const { count } = shard;
  if (shard.index > 0) await takeEpoch(stores, { index: 0, count });
  const fence = await takeEpoch(stores, shard);
  const opened = resources.move();
  let number = 0;
  const ago = (column: string) => sql`extract(epoch FROM now() - ${sql(column)})::float8 * 1000`;
  return {
    sql,
    store: stores.store,
    leadership: stores.leadership,
    fleet: stores.fleet,
    reader: stores.reader,
    shard,
    fence,
    async add(seed = {}) {
      number += 1;
      const { overdueMin, beganMin, statusDetail, ...run } = complete(number, seed);
      await seedRun(sql, {
        ...run,
        startedAgoMs: beganMin * MIN_MS,
        ...(overdueMin === null ? { timeoutAt: null } : { overdueMs: overdueMin * MIN_MS }),
      });
      await sql`
        UPDATE automation_runs SET status_detail = ${statusDetail}::text::json
        WHERE id = ${run.id}`;
      return run.id;
    },
    async change(runId, { overdueMin, beganMin, ...changes }) {
      const { status, errorDetail, sandboxId, bashCommandId } = changes;
      const given = Object.entries({
        status,
        error_detail: errorDetail,
        sandbox_id: sandboxId,
        bash_command_id: bashCommandId,
      }).filter(([, value]) => value !== undefined);
      if (given.length > 0) {
        await sql`UPDATE automation_runs SET ${sql(Object.fromEntries(given))} WHERE id = ${runId}`;
      }
      for (const [column, agoMin] of [
        ["timeout_at", overdueMin],
        ["started_at", beganMin],
      ] as const) {
        if (agoMin === undefined) continue;
        await sql`
          UPDATE automation_runs
          SET ${sql(column)} = now() - ${agoMin}::float8 * interval '1 minute' WHERE id = ${runId}`;
      }
    },
    remove: async (runId) => void (await sql`DELETE FROM automation_runs WHERE id = ${runId}`),
    async run(runId) {
      const [row] = await sql<{ status: string; overdueMs: number; statusDetail: string }[]>`
        SELECT status, ${ago("timeout_at")} AS "overdueMs", status_detail::text AS "statusDetail"
        FROM automation_runs WHERE id = ${runId}`;
      if (row === undefined) return null;
      const { status, overdueMs, statusDetail } = row;
      return { status, overdueMin: minutes(overdueMs), statusDetail };
    },
    async remembered(runId) {
      const [row] = await sql<StoredSuspicion[]>`
        SELECT sandbox_id AS "sandboxId", bash_command_id AS "bashCommandId",
          ${ago("first_deadline_at")} AS "firstDeadline", ${ago("noted_at")} AS noted,
          presumed_times AS "presumedTimes", presumed_reason AS "presumedReason",
          ${ago("presumed_last_at")} AS "presumedLast", unknown_times AS "unknownTimes",
          ${ago("unknown_since")} AS "unknownSince", unknown_cause AS "unknownCause", error_times AS "errorTimes",
          error_cause AS "errorCause", ${ago("error_retry_at")} AS "errorRetry",
          ${ago("held_since")} AS "heldSince", ${ago("look_at")} AS look,
          ${ago("shield_at")} AS shield
        FROM watchdog.suspicions WHERE run_id = ${runId}`;
      if (row === undefined) return null;
      return {
        ...row,
        firstDeadline: minutes(row.firstDeadline),
        noted: minutes(row.noted),
        presumedLast: minutes(row.presumedLast),
        unknownSince: minutes(row.unknownSince),
        errorRetry: minutes(row.errorRetry),
        heldSince: minutes(row.heldSince),
        look: minutes(row.look),
        shield: minutes(row.shield),
      };
    },
    async verdicts(runId) {
      const rows = await sql<StoredVerdict[]>`
        SELECT reason, override_reason AS "overrideReason"
        FROM watchdog.verdicts WHERE run_id = ${runId} ORDER BY id`;
      return [...rows];
    },
    async pauses() {
      const rows = await sql<StoredPause[]>`
        SELECT ${ago("until")} AS until, reason, by FROM watchdog.pauses ORDER BY id`;
      return rows.map((row) => ({ ...row, until: minutes(row.until) }));
    },
    async pass(ms) {
      for (const [table, columns] of Object.entries(TIMES)) {
        const moved = columns.map((column) => `${column} = ${column} - interval '${ms} ms'`);
        await sql.unsafe(`UPDATE ${table} SET ${moved.join(", ")}`);
      }
    },
    async whileLocked(runId, work) {
      await sql.begin(async (tx) => {
        await tx`SELECT FROM automation_runs WHERE id = ${runId} FOR NO KEY UPDATE`;
        await work();
      });
    },
    takeOver: () => takeEpoch(stores, shard),
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

/** Time passes for a database whose clock cannot be set when everything in it happened earlier. */
const LEAD = ["sweep_started_at", "sweep_finished_at", "progressed_at", "api_paused_until"];
const TIMES = {
  automation_runs: ["created_at", "started_at", "timeout_at"],
  "watchdog.suspicions": [
    "first_deadline_at",
    "noted_at",
    "presumed_last_at",
    "unknown_since",
    "error_retry_at",
    "held_since",
    "began_at",
    "look_at",
    "shield_at",
  ],
  "watchdog.verdicts": ["decided_at"],
  "watchdog.leadership": [...LEAD, "paused_until"],
  "watchdog.shards": LEAD,
  "watchdog.workers": ["started_at", "seen_at"],
};
