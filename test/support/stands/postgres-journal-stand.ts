import type { Sql } from "postgres";
import { type SeededAutomation, seedRun } from "../../fake-host/seed.ts";
import { createDatabase } from "../../services/postgres/database.ts";
import { complete, type JournalEntry, type JournalStand, tens, WAITING } from "./journal-stand.ts";
import { openStores, takeEpoch } from "./stores.ts";

export interface PostgresJournalStand extends JournalStand {
  readonly sql: Sql;
}

export async function postgresJournalStand(): Promise<PostgresJournalStand> {
  await using resources = new AsyncDisposableStack();
  const { sql, connection } = resources.use(await createDatabase());
  const stores = resources.use(openStores(connection, { size: 8 }));
  const fence = await takeEpoch(stores);
  const opened = resources.move();
  const inMs = (ms: number | null) => sql`now() + ${ms}::float8 * interval '1 millisecond'`;
  return {
    sql,
    journal: stores.journal,
    reader: stores.reader,
    fence,
    async verdict(seed = {}) {
      const { outcome: status, errorDetail, sandboxId, ...rest } = complete(seed);
      const [of] = await sql<SeededAutomation[]>`
        SELECT id, user_id AS "userId", org_id AS "orgId" FROM automations
        WHERE id = (SELECT automation_id FROM automation_runs WHERE id = ${seed.like ?? null}::text::uuid)`;
      const owner = of === undefined ? {} : { of };
      const run = await seedRun(sql, { status, errorDetail, sandboxId, ...owner });
      if (rest.firstRunState === "pending") {
        await sql`
          UPDATE automations SET preset_metadata = ${WAITING}::text::json
          WHERE id = ${run.automationId}`;
      }
      await sql`
        INSERT INTO watchdog.verdicts (run_id, automation_id, user_id, org_id, epoch, holder,
          trigger, decided_at, outcome, basis, reason, evidence, sandbox_id, cleanup_state,
          cleanup_attempts, cleanup_next_at, cleanup_due_at, cleanup_stamp_at, first_run_state)
        VALUES (${run.id}, ${run.automationId}, ${run.userId}, ${run.orgId}, ${fence.epoch}, 'test',
          'cron', now(), ${status}, ${rest.basis}, 'a reason', '{}', ${sandboxId},
          ${rest.cleanupState}, ${rest.attempts},
          ${inMs(rest.dueInMs)}, ${inMs(rest.deletionDueInMs)}, ${inMs(rest.deletionInMs)},
          ${rest.firstRunState})`;
      await sql`
        UPDATE automation_runs SET sandbox_cleanup_due_at = (
          SELECT cleanup_stamp_at FROM watchdog.verdicts WHERE run_id = ${run.id})
        WHERE id = ${run.id}`;
      return run.id;
    },
    async stamped({ overdueMs, status = "COMPLETED", ...seed }) {
      const { id } = await seedRun(sql, { status, ...seed });
      await sql`
        UPDATE automation_runs SET sandbox_cleanup_due_at = ${inMs(-overdueMs)} WHERE id = ${id}`;
      return id;
    },
    async stampInS(runId) {
      const [row] = await sql<{ inS: number | null }[]>`
        SELECT extract(epoch FROM sandbox_cleanup_due_at - now())::float8 AS "inS"
        FROM automation_runs WHERE id = ${runId}`;
      return row === undefined || row.inS === null ? null : tens(row.inS);
    },
    async bases(runId) {
      const rows = await sql<{ basis: string }[]>`
        SELECT basis FROM watchdog.verdicts WHERE run_id = ${runId} ORDER BY id`;
      return rows.map(({ basis }) => basis);
    },
    async changeRun(runId, { status, errorDetail, sandboxId, stampInMs, restarted, completed }) {
      if (restarted) await sql`UPDATE automation_runs SET started_at = now() WHERE id = ${runId}`;
      if (completed) await sql`UPDATE automation_runs SET completed_at = now() WHERE id = ${runId}`;
      if (stampInMs !== undefined) {
        await sql`
          UPDATE automation_runs SET sandbox_cleanup_due_at = ${inMs(stampInMs)}
          WHERE id = ${runId}`;
      }
      const changes = { status, error_detail: errorDetail, sandbox_id: sandboxId };
      const given = Object.entries(changes).filter(([, value]) => value !== undefined);
      if (given.length === 0) return;
      await sql`UPDATE automation_runs SET ${sql(Object.fromEntries(given))} WHERE id = ${runId}`;
    },
    removeRun: async (runId) => void (await sql`DELETE FROM automation_runs WHERE id = ${runId}`),
    async keepSandboxes(runId) {
      await sql`
        UPDATE automations SET keep_alive = true
        WHERE id = (SELECT automation_id FROM automation_runs WHERE id = ${runId})`;
    },
    async entry(runId) {
      const [row] = await sql<JournalEntry[]>`
        SELECT cleanup_state AS state, cleanup_attempts AS attempts, cleanup_error AS error,
          sandbox_id AS "sandboxId",
          extract(epoch FROM cleanup_next_at - now())::float8 AS "dueInS"
        FROM watchdog.verdicts WHERE run_id = ${runId}`;
      return row === undefined
        ? null
        : { ...row, dueInS: row.dueInS === null ? null : tens(row.dueInS) };
    },
    async overturned(runId) {
      const rows = await sql`
        SELECT FROM watchdog.verdicts WHERE run_id = ${runId} AND overturned_at IS NOT NULL`;
      return rows.length > 0;
    },
    async preset(runId) {
      const [row] = await sql<{ preset: string | null }[]>`
        SELECT preset_metadata::text AS preset
        FROM watchdog.verdicts v JOIN automations a ON a.id = v.automation_id
        WHERE v.run_id = ${runId}`;
      return row?.preset ?? null;
    },
    async firstRunState(runId) {
      const [row] = await sql<{ state: string }[]>`
        SELECT first_run_state AS state FROM watchdog.verdicts WHERE run_id = ${runId}`;
      return row?.state ?? null;
    },
    async whileLocked(runId, work) {
      await sql.begin(async (transaction) => {
        await transaction`SELECT FROM automation_runs WHERE id = ${runId} FOR NO KEY UPDATE`;
        await work();
      });
    },
    async pass(ms) {
      await sql`
        UPDATE watchdog.verdicts
        SET decided_at = decided_at - ${ms}::float8 * interval '1 millisecond',
          cleanup_next_at = cleanup_next_at - ${ms}::float8 * interval '1 millisecond',
          cleanup_due_at = cleanup_due_at - ${ms}::float8 * interval '1 millisecond',
          cleanup_stamp_at = cleanup_stamp_at - ${ms}::float8 * interval '1 millisecond'`;
      await sql`
        UPDATE automation_runs
        SET sandbox_cleanup_due_at = sandbox_cleanup_due_at - ${ms}::float8 * interval '1 millisecond',
          started_at = started_at - ${ms}::float8 * interval '1 millisecond'`;
    },
    takeOver: () => takeEpoch(stores),
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}
