import type { Sql } from "postgres";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type FakeHost, startFakeHost } from "../../fake-host/fake-host.ts";
import { createDatabase, type TestDatabase } from "../../services/postgres/database.ts";
import { TIMING } from "../scenario/environment.ts";
import { DECIDED_MS, type FinishedDemo, finishedDemo } from "./finished-demo.ts";

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

describe("checkAll", () => {
  it("finds nothing wrong where everything went well", async () => {
    expect(await demo.failures()).toEqual([]);
  });

  it("sees a callback's result that was overwritten", async () => {
    await sql`UPDATE automation_runs SET status = 'FAILED' WHERE id = ${demo.called.id}`;
    expect(await demo.failures()).toEqual([
      "0 of 1 callbacks and cancels that came first kept their result",
    ]);
  });

  it("sees a verdict about a run that a callback had ended", async () => {
    await demo.journal(demo.called, { outcome: "COMPLETED", basis: "proof", cleanup: "none" });
    expect(await demo.failures()).toContain(
      "0 of 1 callbacks and cancels that came first kept their result",
    );
  });

  it("sees a second verdict about the same run", async () => {
    await demo.journal(demo.finished, { outcome: "COMPLETED", basis: "proof", cleanup: "done" });
    expect(await demo.failures()).toEqual([
      "3 of 4 dead runs have the right verdict, and only one",
    ]);
  });

  it("sees a dead run without a verdict", async () => {
    await sql`DELETE FROM watchdog.verdicts WHERE run_id = ${demo.template.id}`;
    expect(await demo.failures()).toContain(
      "3 of 4 dead runs have the right verdict, and only one",
    );
  });

  it("sees a run that may be alive and was ended", async () => {
    await sql`UPDATE automation_runs SET status = 'FAILED' WHERE id = ${demo.living.id}`;
    expect(await demo.failures()).toEqual(["0 of 1 runs that may be alive are still RUNNING"]);
  });

  it("sees a sandbox that nobody proved dead and that was deleted", async () => {
    host.remove(demo.living.sandboxId ?? "");
    expect(await demo.failures()).toEqual([
      "2 of 2 sandboxes of proven dead runs deleted, 1 others",
    ]);
  });

  it("sees a sandbox that was to be deleted and is still there", async () => {
    demo.addSandbox(demo.finished);
    expect(await demo.failures()).toEqual([
      "1 of 2 sandboxes of proven dead runs deleted, 0 others",
    ]);
  });

  it("sees a template without its first outcome", async () => {
    const { automationId } = demo.template;
    await sql`UPDATE automations SET preset_metadata = '{"template":{}}' WHERE id = ${automationId}`;
    expect(await demo.failures()).toEqual(["0 of 1 templates have their first outcome recorded"]);
  });

  it("sees transactions left open and writers kept waiting", async () => {
    const locks = { samples: 9, idleInTransaction: 1, blockedWriters: 2 };
    expect(await demo.failures({ locks })).toEqual([
      "1 of 9 samples saw a watchdog idle in transaction",
      "2 writers seen waiting for a watchdog in two samples in a row",
    ]);
  });

  it("does not call it well when nothing was sampled", async () => {
    const locks = { samples: 0, idleInTransaction: 0, blockedWriters: 0 };
    expect(await demo.failures({ locks })).toHaveLength(2);
  });
});

describe("checkAll, of presumptions", () => {
  const UNCONFIRMED = `1 of 2 presumptions rest on two lookups, at least ${TIMING.deferS} s apart`;
  const EARLIER_MS = DECIDED_MS - TIMING.deferS * 1000;

  for (const { name, times } of [
    { name: "sees a presumption about a sandbox that nobody was asked about", times: [] },
    { name: "sees a presumption after one lookup", times: [DECIDED_MS] },
    {
      name: "sees a presumption after two lookups one millisecond too close together",
      times: [EARLIER_MS + 1, DECIDED_MS],
    },
    {
      name: "does not count a lookup that came after the verdict",
      times: [DECIDED_MS - 1, DECIDED_MS + 60_000],
    },
  ]) {
    it(name, async () => {
      demo.lookedUp(demo.missing, ...times);
      expect(await demo.failures()).toEqual([UNCONFIRMED]);
    });
  }

  it("takes lookups that are exactly far enough apart, whatever came between", async () => {
    demo.lookedUp(demo.missing, EARLIER_MS, DECIDED_MS - 10, DECIDED_MS);
    expect(await demo.failures()).toEqual([]);
  });
});
