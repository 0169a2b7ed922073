import { describe, expect, it } from "vitest";
import type { SeededRun } from "../../../fake-host/seed.ts";
import { createRole, WORKER_GRANTS } from "../../../services/postgres/database-role.ts";
import { seedExited } from "../../../support/world/proven-runs.ts";
import { createWorld } from "../../../support/world/world.ts";

const OTHERS = 4;

interface Case {
  readonly name: string;
  /** Makes writes to the run impossible; `role` is the worker's user. */
  readonly prevent: (runId: string, role: string) => string;
  readonly reason: RegExp;
}

/** Runs `body` whenever the run is updated. */
function trigger(when: string, runId: string, body: string): string {
  return `
    CREATE FUNCTION interfere() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN ${body}; END $$;
    CREATE ${when} ON automation_runs FOR EACH ROW
      WHEN (OLD.id = '${runId}') EXECUTE FUNCTION interfere()`;
}

const BEFORE = "TRIGGER interferes BEFORE UPDATE";
const NO_EFFECT = /^the write had no effect \(trigger or row security\)$/;

const cases: readonly Case[] = [
  {
    name: "a trigger swallows",
    prevent: (id) => trigger(BEFORE, id, "RETURN NULL"),
    reason: NO_EFFECT,
  },
  {
    name: "row security hides from updates",
    prevent: (id) => `
      ALTER TABLE automation_runs ENABLE ROW LEVEL SECURITY;
      CREATE POLICY seen ON automation_runs FOR SELECT USING (true);
      CREATE POLICY fixed ON automation_runs FOR UPDATE USING (id <> '${id}')`,
    reason: NO_EFFECT,
  },
  {
    name: "row security does not let end as it would",
    prevent: (id) => `
      ALTER TABLE automation_runs ENABLE ROW LEVEL SECURITY;
      CREATE POLICY seen ON automation_runs FOR SELECT USING (true);
      CREATE POLICY checked ON automation_runs FOR UPDATE USING (true) WITH CHECK (id <> '${id}')`,
    reason: /^ending a run: SQLSTATE 42501/,
  },
  {
    name: "a trigger refuses",
    prevent: (id) => trigger(BEFORE, id, "RAISE EXCEPTION 'tenant text'"),
    reason: /^ending a run: SQLSTATE P0001, raised by a trigger or function$/,
  },
  {
    name: "a trigger refuses at the commit",
    prevent: (id) =>
      trigger(
        "CONSTRAINT TRIGGER interferes AFTER UPDATE",
        id,
        "RAISE EXCEPTION 'tenant text'",
      ).replace(" FOR EACH ROW", " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW"),
    reason: /^ending a run: SQLSTATE P0001, raised by a trigger or function$/,
  },
  {
    name: "a trigger refuses as if a privilege were missing",
    prevent: (id) => trigger(BEFORE, id, "RAISE EXCEPTION 'tenant text' USING ERRCODE = '42501'"),
    reason: /^ending a run: SQLSTATE 42501/,
  },
  {
    name: "a trigger breaks that misses a table of its own",
    prevent: (id) => trigger(BEFORE, id, "PERFORM 1 FROM audit_log; RETURN NEW"),
    reason: /^ending a run: SQLSTATE 42P01/,
  },
  {
    name: "a trigger keeps for longer than a statement may take",
    prevent: (id, role) =>
      `ALTER ROLE ${role} SET statement_timeout = '2s';
       ${trigger(BEFORE, id, "PERFORM pg_sleep(20); RETURN NEW")}`,
    reason: /SQLSTATE 57014/,
  },
];

describe("a run whose write", () => {
  for (const { name, prevent, reason } of cases) {
    it(`${name} is an error of its own, and the others end`, async () => {
      await using world = await createWorld();
      const refused = await seedExited(world, 1, { overdueMs: 300_000 });
      const others: SeededRun[] = [];
      for (let index = 0; index < OTHERS; index += 1) others.push(await seedExited(world, 1));
      await using role = await createRole(world.database, WORKER_GRANTS);
      await world.database.sql.unsafe(prevent(refused.id, role.name));

      // One at a time: what the first run does to the sweep, it does to all behind it.
      const env = { DATABASE_URL: role.url, WATCHDOG_DB_POOLER: "on", WATCHDOG_CONCURRENCY: "1" };
      const report = await world.sweep({ env });
      expect(report.runs.find(({ runId }) => runId === refused.id)).toMatchObject({
        action: "error",
        basis: null,
        reason: expect.stringMatching(reason),
      });
      expect(report).toMatchObject({ exitCode: 3, counts: { failed: OTHERS, errors: 1 } });
      expect(JSON.stringify(report)).not.toContain("tenant text");
      expect(await world.row(refused.id)).toMatchObject({ status: "RUNNING", error_detail: null });
      const verdicts = await world.database.sql`SELECT run_id FROM watchdog.verdicts`;
      expect(verdicts.map((row) => row["run_id"]).sort()).toEqual(
        others.map(({ id }) => id).sort(),
      );
    });
  }
});
