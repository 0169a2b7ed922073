import type { Sql } from "postgres";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { audit, type Check } from "../../src/demo/audit.ts";
import { completeRun, type HostAnswer } from "../../src/demo/callback.ts";
import type { Player } from "../../src/demo/cast.ts";
import type { HostWrite } from "../../src/demo/directions.ts";
import { type FakeHost, startFakeHost } from "../../src/demo/fake-host.ts";
import type { Ending, RoleName } from "../../src/demo/roles.ts";
import { type RunSeed, seedRun } from "../../src/demo/seed.ts";
import { createDatabase, type TestDatabase } from "../support/database.ts";

let database: TestDatabase;
let sql: Sql;
let host: FakeHost;

beforeAll(async () => {
  database = await createDatabase();
  sql = database.sql;
  host = await startFakeHost();
});

afterAll(async () => {
  await host.close();
  await database[Symbol.asyncDispose]();
});

/** A finished demo in which everything went well. */
let scene: Awaited<ReturnType<typeof wellDone>>;

beforeEach(async () => {
  await sql`TRUNCATE automation_runs, automations, watchdog.verdicts CASCADE`;
  scene = await wellDone();
});

describe("audit", () => {
  it("finds nothing wrong where everything went well", async () => {
    expect(wrong(await checked())).toEqual([]);
  });

  it("sees a callback's result that was overwritten", async () => {
    await sql`UPDATE automation_runs SET status = 'FAILED' WHERE id = ${scene.called.run.id}`;
    expect(wrong(await checked())).toEqual([
      "0 of 1 callbacks and cancels that came first kept their result",
    ]);
  });

  it("sees a verdict about a run that a callback had ended", async () => {
    await journal(scene.called, "COMPLETED", "proof", "none");
    expect(wrong(await checked())).toContain(
      "0 of 1 callbacks and cancels that came first kept their result",
    );
  });

  it("sees a second verdict about the same run", async () => {
    await journal(scene.finished, "COMPLETED", "proof", "done");
    expect(wrong(await checked())).toEqual([
      "1 of 2 dead runs have the right verdict, and only one",
    ]);
  });

  it("sees a dead run without a verdict", async () => {
    await sql`DELETE FROM watchdog.verdicts WHERE run_id = ${scene.template.run.id}`;
    expect(wrong(await checked())).toContain(
      "1 of 2 dead runs have the right verdict, and only one",
    );
  });

  it("sees a run that may be alive and was ended", async () => {
    await sql`UPDATE automation_runs SET status = 'FAILED' WHERE id = ${scene.living.run.id}`;
    expect(wrong(await checked())).toEqual(["0 of 1 runs that may be alive are still RUNNING"]);
  });

  it("sees a sandbox that nobody proved dead and that was deleted", async () => {
    host.remove(scene.living.run.sandboxId ?? "");
    expect(wrong(await checked())).toEqual([
      "2 of 2 sandboxes of proven dead runs deleted, 1 others",
    ]);
  });

  it("sees a sandbox that was to be deleted and is still there", async () => {
    addSandbox(scene.finished);
    expect(wrong(await checked())).toEqual([
      "1 of 2 sandboxes of proven dead runs deleted, 0 others",
    ]);
  });

  it("sees a template without its first outcome", async () => {
    const { automationId } = scene.template.run;
    await sql`UPDATE automations SET preset_metadata = '{"template":{}}' WHERE id = ${automationId}`;
    expect(wrong(await checked())).toEqual(["0 of 1 templates have their first outcome recorded"]);
  });

  it("sees transactions left open and writers kept waiting", async () => {
    const locks = { samples: 9, idleInTransaction: 1, blockedWriters: 2 };
    expect(wrong(await checked({ locks }))).toEqual([
      "1 of 9 samples saw a watchdog idle in transaction",
      "2 writers seen waiting for a watchdog in two samples in a row",
    ]);
  });

  it("does not call it well when nothing was sampled", async () => {
    const locks = { samples: 0, idleInTransaction: 0, blockedWriters: 0 };
    expect(wrong(await checked({ locks }))).toHaveLength(2);
  });
});

const COMPLETED: Ending = { kind: "verdict", status: "COMPLETED", basis: "proof" };

async function wellDone() {
  const template = { presetMetadata: { template: {}, first_run: { status: "success" } } };
  const finished = await ended("finished", {});
  const first = await ended("template", { automation: template });
  const living = await player("running", { kind: "none" }, {});
  const called = await player("callback", { kind: "host" }, {});
  for (const one of [living, called]) addSandbox(one);
  const conversationId = "c1";
  const answer = await completeRun(sql, {
    runId: called.run.id,
    status: "COMPLETED",
    conversationId,
  });
  return { finished, template: first, living, called, write: written(called, answer) };
}

function written(by: Player, answer: HostAnswer): HostWrite {
  return { player: by, status: "COMPLETED", conversationId: "c1", answer, tookMs: 1 };
}

/** Has its verdict, and its sandbox is gone. */
async function ended(role: RoleName, seed: RunSeed): Promise<Player> {
  const one = await player(role, COMPLETED, { status: "COMPLETED", ...seed });
  await journal(one, "COMPLETED", "proof", "done");
  return one;
}

async function player(role: RoleName, ending: Ending, seed: RunSeed): Promise<Player> {
  const run = await seedRun(sql, seed);
  return {
    role,
    ending,
    held: false,
    automation: {},
    shared: false,
    seed,
    sandbox: () => ({}),
    run,
  };
}

function addSandbox({ run: { sandboxId, userId, orgId } }: Player): void {
  if (sandboxId !== null) host.addSandbox({ id: sandboxId, userId, orgId });
}

async function journal(
  { run }: Player,
  outcome: string,
  basis: string,
  cleanup: string,
): Promise<void> {
  await sql`
    INSERT INTO watchdog.verdicts
      (run_id, automation_id, epoch, holder, trigger, decided_at, outcome, basis, reason, evidence,
       sandbox_id, cleanup_state, first_run_state)
    VALUES (${run.id}, ${run.automationId}, 1, 'h/1/a', 'cron', now(), ${outcome}, ${basis}, 'r',
            '{}', ${run.sandboxId}, ${cleanup}, 'none')`;
}

function checked({ locks = { samples: 9, idleInTransaction: 0, blockedWriters: 0 } } = {}) {
  const { finished, template, living, called, write } = scene;
  const players = [finished, template, living, called];
  return audit({ sql, host, players, writes: [write], locks });
}

function wrong(checks: readonly Check[]): readonly string[] {
  return checks.filter(({ ok }) => !ok).map(({ text }) => text);
}
