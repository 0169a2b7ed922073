/** How the platform's own watchdog held its locks, before and after its fix: one run after the other, a sleep for an answer. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Sql } from "postgres";
import type { SeededRun } from "../../fake-host/seed.ts";

/** All verdicts in one transaction, as it was when callbacks waited for 6 to 19 s. */
export async function oneTransaction(
  sql: Sql,
  runs: readonly SeededRun[],
  answerMs: number,
): Promise<void> {
  await sql.begin(async (transaction) => {
    for (const { id } of runs) {
      await sleep(answerMs);
      await transaction`
        UPDATE automation_runs SET status = 'FAILED', error_detail = 'Timed out: no callback',
          completed_at = now() WHERE id = ${id} AND status = 'RUNNING'`;
    }
  });
}

/** One transaction per run: locks are short, but the question is still asked inside the transaction. */
export async function transactionPerRun(
  sql: Sql,
  runs: readonly SeededRun[],
  answerMs: number,
): Promise<void> {
  for (const { id } of runs) {
    await sql.begin(async (transaction) => {
      await transaction`SELECT id FROM automation_runs WHERE id = ${id}`;
      await sleep(answerMs);
      await transaction`
        UPDATE automation_runs SET status = 'FAILED', error_detail = 'Timed out: no callback',
          completed_at = now() WHERE id = ${id} AND status = 'RUNNING'`;
    });
  }
}
