import { describe, expect, it } from "vitest";
import { observation } from "../../../../src/rules/suspicion.ts";
import { seedRun } from "../../../fake-host/seed.ts";
import { createDatabase } from "../../../services/postgres/database.ts";
import {
  type PostgresJournalStand,
  postgresJournalStand,
} from "../../../support/stands/postgres-journal-stand.ts";
import { deferring, openStores, readRun, takeEpoch } from "../../../support/stands/stores.ts";

const HOUR_MS = 3_600_000;

/** A host may refuse or swallow what is written to rows that have ended: the clean-up must not depend on it. */
const OBSTACLES: readonly (readonly [string, string])[] = [
  ["refuses", "RAISE EXCEPTION 'finished runs are not to be changed'"],
  ["swallows", "RETURN NULL"],
];

describe("PostgresJournal and a host that does not let its finished runs be changed", () => {
  it.each(OBSTACLES)("deletes what it has stamped where the host %s it", async (_, body) => {
    await using stand = await postgresJournalStand();
    const runId = await stand.verdict({ deletionInMs: 0 });
    await protect(stand, body);
    const [task] = await stand.journal.claimCleanups(stand.fence, 5);
    expect(task).toMatchObject({ runId, attempts: 1 });
    const { journal, fence } = stand;
    expect(await journal.cleanupFailed(task?.id ?? 0, "HTTP 503", 0, fence)).toBe("pending");
    expect(await stand.entry(runId)).toMatchObject({ state: "pending", error: "HTTP 503" });
    expect(await journal.claimCleanups(fence, 5)).toMatchObject([{ runId, attempts: 2 }]);
    await journal.cleanupDone(task?.id ?? 0, null, fence);
    expect(await stand.entry(runId)).toMatchObject({ state: "done" });
  });

  it.each(OBSTACLES)("adopts a late sandbox where the host %s the stamp", async (_, body) => {
    await using stand = await postgresJournalStand();
    const unnamed = { basis: "presumption", sandboxId: null, cleanupState: "none" } as const;
    const runId = await stand.verdict(unnamed);
    await stand.changeRun(runId, { sandboxId: "late" });
    await protect(stand, body);
    const plan = { cleanupInMs: 0, deletionInMs: HOUR_MS };
    expect(await stand.journal.adoptLateSandboxes(plan, stand.fence)).toBe(1);
    expect(await stand.entry(runId)).toMatchObject({ state: "pending", sandboxId: "late" });
  });

  it("takes nothing over from a host that swallows it", async () => {
    await using stand = await postgresJournalStand();
    const runId = await stand.stamped({ overdueMs: HOUR_MS });
    await protect(stand, "RETURN NULL");
    expect(await stand.journal.adoptOverdueStamps(5, stand.fence)).toBe(0);
    expect(await stand.bases(runId)).toEqual([]);
  });
});

describe("PostgresJournal and a host without stamps", () => {
  it("claims and ends deletions, those of before as well", async () => {
    await using stand = await postgresJournalStand();
    const stamped = await stand.verdict({ deletionInMs: 0 });
    const plain = await stand.verdict();
    await stand.sql`ALTER TABLE automation_runs DROP COLUMN sandbox_cleanup_due_at`;
    const tasks = await stand.journal.claimCleanups(stand.fence, 5);
    expect(new Set(tasks.map(({ runId }) => runId))).toEqual(new Set([stamped, plain]));
    for (const { id } of tasks) await stand.journal.cleanupDone(id, null, stand.fence);
    for (const runId of [stamped, plain]) {
      expect(await stand.entry(runId)).toMatchObject({ state: "done" });
    }
    expect(await stand.journal.adoptOverdueStamps(5, stand.fence)).toBe(0);
  });
});

describe("a sandbox that was taken over from the host", () => {
  it("is no verdict of ours on its run", async () => {
    await using database = await createDatabase();
    const { sql } = database;
    await using stores = openStores(database.connection);
    const { store, journal } = stores;
    const fence = await takeEpoch(stores);
    const { id } = await seedRun(sql);
    const run = await readRun(stores, id);
    const suspicion = observation(null, "sandbox gone", 0);
    expect(await store.defer(deferring(run, { suspicion }), fence)).toEqual({ kind: "written" });
    await sql`
      UPDATE automation_runs SET status = 'FAILED', error_detail = 'Timed out: x',
        sandbox_cleanup_due_at = now() - interval '1 hour'`;
    expect(await journal.adoptOverdueStamps(5, fence)).toBe(1);
    expect(await store.facts(run, fence)).toMatchObject({ journaled: false });
    expect(await store.guardFacts(1)).toMatchObject({ presumedLastHour: 0, provenLastHour: 0 });
    expect(await store.dropSuspicions(fence)).toBe(1);
  });

  it("is said to be the host's in the journal", async () => {
    await using stand = await postgresJournalStand();
    const runId = await stand.stamped({ overdueMs: HOUR_MS, status: "FAILED" });
    expect(await stand.journal.adoptOverdueStamps(5, stand.fence)).toBe(1);
    const [row] = await stand.sql`
      SELECT basis, holder, trigger, outcome, reason, first_run_state, user_id IS NOT NULL AS owned
      FROM watchdog.verdicts WHERE run_id = ${runId}`;
    expect(row).toEqual({
      basis: "host",
      holder: "host",
      trigger: "host",
      outcome: "FAILED",
      reason: "sandbox_cleanup_due_at",
      first_run_state: "none",
      owned: true,
    });
  });
});

function protect({ sql }: PostgresJournalStand, body: string) {
  return sql.unsafe(`
    CREATE FUNCTION protect() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN ${body}; END $$;
    CREATE TRIGGER protect BEFORE UPDATE ON automation_runs FOR EACH ROW
    WHEN (OLD.status <> 'RUNNING') EXECUTE FUNCTION protect()`);
}
