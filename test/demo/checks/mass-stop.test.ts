import type { Sql } from "postgres";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type FakeHost, startFakeHost } from "../../fake-host/fake-host.ts";
import { createDatabase, type TestDatabase } from "../../services/postgres/database.ts";
import { DECIDED_MS, type FinishedDemo, finishedDemo, REASON } from "./finished-demo.ts";

const EARLY = "0 of 1 stopped at once stayed RUNNING until the override";
const NOT_BY_IT = "0 of 1 stopped at once ended by the override, its reason noted";

let database: TestDatabase;
let sql: Sql;
let host: FakeHost;
let demo: FinishedDemo;

beforeAll(async () => {
  database = await createDatabase();
  sql = database.sql;
  host = await startFakeHost();
});

afterAll(async () => {
  await host.close();
  await database[Symbol.asyncDispose]();
});

beforeEach(async () => {
  await sql`TRUNCATE automation_runs, automations, watchdog.verdicts CASCADE`;
  demo = await finishedDemo(sql, host);
});

describe("checkAll, of a mass stop", () => {
  it("sees a run that ended a millisecond before the override", async () => {
    await demo.completedAt(demo.stopped, DECIDED_MS - 1);
    expect(await demo.failures()).toEqual([EARLY]);
  });

  it("sees a verdict a millisecond before the override", async () => {
    const massStop = {
      runs: [demo.stopped],
      reason: REASON,
      overriddenAtMs: DECIDED_MS + 1,
    };
    expect(await demo.failures({ massStop })).toEqual([EARLY, NOT_BY_IT]);
  });

  it("sees a run that the override did not end", async () => {
    const { id } = demo.stopped;
    await sql`
      UPDATE automation_runs SET status = 'RUNNING', completed_at = NULL WHERE id = ${id}`;
    await sql`DELETE FROM watchdog.verdicts WHERE run_id = ${id}`;
    expect(await demo.failures()).toEqual([
      "3 of 4 dead runs have the right verdict, and only one",
      NOT_BY_IT,
    ]);
  });

  for (const { name, noted } of [
    { name: "sees a verdict without the reason of the override", noted: null },
    { name: "sees a verdict with another reason than was given", noted: "somebody did" },
  ]) {
    it(name, async () => {
      await sql`
        UPDATE watchdog.verdicts SET override_reason = ${noted}
        WHERE run_id = ${demo.stopped.id}`;
      expect(await demo.failures()).toEqual([NOT_BY_IT]);
    });
  }

  it("sees that a sandbox of a run that stopped with the others was deleted", async () => {
    host.remove(demo.stopped.sandboxId ?? "");
    expect(await demo.failures()).toEqual([
      "2 of 2 sandboxes of proven dead runs deleted, 1 others",
    ]);
  });
});
