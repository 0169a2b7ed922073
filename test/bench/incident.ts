/**
 * The incident of the host's own watchdog, before its fix, after it, and with this worker: ten stale runs, two seconds
 * per answer, and a callback for every run that arrives in the middle of it all.
 */
import { setTimeout as sleep } from "node:timers/promises";
import postgres, { type Sql } from "postgres";
import { completeRun } from "../fake-host/callback.ts";
import { startFakeHost } from "../fake-host/fake-host.ts";
import { type SeededRun, seedRuns } from "../fake-host/seed.ts";
import { LockWatch } from "../services/postgres/lock-watch.ts";
import { line } from "./print.ts";
import { runWorkerOnce } from "./worker.ts";

const RUNS = 10;
const ANSWER_MS = 2000;

interface Place {
  readonly sql: Sql;
  readonly databaseUrl: string;
}

type Sweep = (runs: readonly SeededRun[]) => Promise<void>;

export async function benchIncident(sql: Sql, databaseUrl: string): Promise<void> {
  const place = { sql, databaseUrl };
  const legacy = postgres(databaseUrl, {
    max: 1,
    fetch_types: false,
    connection: { application_name: "host-watchdog" },
  });
  await measure(place, "host, before its fix: one transaction", "host-watchdog", (runs) =>
    oneTransaction(legacy, runs),
  );
  await measure(place, "host, after its fix: one per run", "host-watchdog", (runs) =>
    transactionPerRun(legacy, runs),
  );
  await legacy.end();
  await using host = await startFakeHost();
  host.intercept(async ({ kind }) => {
    if (kind === "events") await sleep(ANSWER_MS);
    return undefined;
  });
  await measure(place, "run-watchdog", "run-watchdog", async (runs) => {
    for (const { sandboxId, userId, orgId, bashCommandId } of runs) {
      const outputs = [{ commandId: bashCommandId ?? "", exitCode: 1 }];
      host.addSandbox({ id: sandboxId ?? "", userId, orgId, outputs });
    }
    await runWorkerOnce(databaseUrl, host, {});
  });
}

/**
 * Every run gets its callback: half of them before anybody has judged a run, the others a second after a serial
 * watchdog has judged theirs. How long did the slowest one wait?
 */
async function measure(
  { sql, databaseUrl }: Place,
  name: string,
  application: string,
  sweep: Sweep,
): Promise<void> {
  const runs = await seedRuns(
    sql,
    Array.from({ length: RUNS }, () => ({})),
  );
  await using locks = new LockWatch(databaseUrl, { application, everyMs: 5 });
  const startedMs = performance.now();
  const callbacks = runs.map(async ({ id }, index) => {
    await sleep((index < RUNS / 2 ? index + 1.5 : 0.5) * ANSWER_MS);
    const sentMs = performance.now();
    await completeRun(sql, { runId: id, status: "COMPLETED" });
    return performance.now() - sentMs;
  });
  await sweep(runs);
  const tookMs = performance.now() - startedMs;
  const waitsMs = await Promise.all(callbacks);
  const { samples, idleInTransaction, blockedWriters } = await locks.end();
  const idle = `${((100 * idleInTransaction) / samples).toFixed(1)} %`;
  line(`${name}: sweep`, `${(tookMs / 1000).toFixed(1)} s`);
  line("    slowest callback", `${(Math.max(...waitsMs) / 1000).toFixed(2)} s`);
  line("    samples idle in transaction", `${idle} of ${samples}`);
  line("    writers blocked in two samples in a row", String(blockedWriters));
}

/** All verdicts in one transaction, as the host did it when callbacks waited for 6 to 19 s. */
async function oneTransaction(sql: Sql, runs: readonly SeededRun[]): Promise<void> {
  await sql.begin(async (transaction) => {
    for (const { id } of runs) {
      await sleep(ANSWER_MS);
      await transaction`
        UPDATE automation_runs SET status = 'FAILED', error_detail = 'Timed out: no callback',
          completed_at = now() WHERE id = ${id} AND status = 'RUNNING'`;
    }
  });
}

/** One transaction per run: locks are short, but the question is still asked inside the transaction. */
async function transactionPerRun(sql: Sql, runs: readonly SeededRun[]): Promise<void> {
  for (const { id } of runs) {
    await sql.begin(async (transaction) => {
      await transaction`SELECT id FROM automation_runs WHERE id = ${id}`;
      await sleep(ANSWER_MS);
      await transaction`
        UPDATE automation_runs SET status = 'FAILED', error_detail = 'Timed out: no callback',
          completed_at = now() WHERE id = ${id} AND status = 'RUNNING'`;
    });
  }
}
