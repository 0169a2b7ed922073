/**
 * The host's own writers of `automation_runs`, as database transactions: the completion callback, the cancel endpoint
 * and the dispatcher's second phase. They use the application's clock and the host's guards, as the host does.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Sql, TransactionSql } from "postgres";

const RECONCILABLE = "Timed out: ";

export interface Completion {
  readonly runId: string;
  readonly status: "COMPLETED" | "FAILED";
  readonly error?: string;
  readonly conversationId?: string;
  readonly cost?: number;
  /** Runs between the UPDATE and the COMMIT, while the row lock is held. */
  readonly hold?: () => Promise<unknown>;
  /** Holds the row lock for this long. */
  readonly holdMs?: number;
}

export type HostAnswer =
  | { readonly code: 200; readonly reconciled: boolean }
  | { readonly code: 404 }
  | { readonly code: 409; readonly detail: string };

export function completeRun(sql: Sql, completion: Completion): Promise<HostAnswer> {
  return sql.begin(async (transaction): Promise<HostAnswer> => {
    const { runId } = completion;
    const before = await readRun(transaction, runId);
    if (before === null) return { code: 404 };
    await transaction`SELECT id FROM automations WHERE id = ${before.automationId}`;
    let reconciled = false;
    if (!(await finish(transaction, completion))) {
      reconciled = completion.status === "COMPLETED" && (await reconcile(transaction, completion));
      if (!reconciled) {
        const found = (await readRun(transaction, runId))?.status ?? "gone";
        return { code: 409, detail: `Run is ${found}, expected RUNNING` };
      }
    }
    await completion.hold?.();
    if (completion.holdMs) await sleep(completion.holdMs);
    return { code: 200, reconciled };
  });
}

export function cancelRun(sql: Sql, runId: string): Promise<HostAnswer> {
  return sql.begin(async (transaction): Promise<HostAnswer> => {
    if ((await readRun(transaction, runId)) === null) return { code: 404 };
    const { count } = await transaction`
      UPDATE automation_runs
      SET status = 'CANCELLED', completed_at = ${hostNow()}::text::timestamptz,
          error_detail = 'Cancelled by user', status_detail = 'null'::json
      WHERE id = ${runId} AND status IN ('PENDING', 'RUNNING')`;
    if (count === 1) return { code: 200, reconciled: false };
    const found = (await readRun(transaction, runId))?.status ?? "gone";
    return { code: 409, detail: `Run is ${found}, expected PENDING or RUNNING` };
  });
}

export interface PhaseTwo {
  readonly runId: string;
  readonly sandboxId?: string;
  readonly bashCommandId?: string;
  /** From now; default: the default run duration and its margin. */
  readonly timeoutInMs?: number;
}

/**
 * What the dispatcher writes once the command runs: three transactions, and only the last one asks for the status.
 *
 * @returns whether the deadline moved.
 */
export async function dispatchPhaseTwo(sql: Sql, phase: PhaseTwo): Promise<boolean> {
  const { runId, sandboxId, bashCommandId, timeoutInMs = 720_000 } = phase;
  if (sandboxId !== undefined) {
    await sql`UPDATE automation_runs SET sandbox_id = ${sandboxId} WHERE id = ${runId}`;
  }
  if (bashCommandId !== undefined) {
    await sql`UPDATE automation_runs SET bash_command_id = ${bashCommandId} WHERE id = ${runId}`;
  }
  const { count } = await sql`
    UPDATE automation_runs SET timeout_at = ${hostNow(timeoutInMs)}::text::timestamptz
    WHERE id = ${runId} AND status = 'RUNNING'`;
  return count === 1;
}

interface RunRow {
  readonly status: string;
  readonly automationId: string;
}

async function readRun(transaction: TransactionSql, runId: string): Promise<RunRow | null> {
  const [row] = await transaction<RunRow[]>`
    SELECT status, automation_id AS "automationId" FROM automation_runs WHERE id = ${runId}`;
  return row ?? null;
}

async function finish(transaction: TransactionSql, completion: Completion): Promise<boolean> {
  const { runId, status, conversationId = null, cost = null } = completion;
  const failed = status === "FAILED";
  const error = completion.error ?? "Completion callback reported failure";
  const { count } = await transaction`
    UPDATE automation_runs
    SET status = ${status}, completed_at = ${hostNow()}::text::timestamptz,
        conversation_id = coalesce(${conversationId}, conversation_id),
        cost = coalesce(${cost}::float8, cost),
        error_detail = CASE WHEN ${failed}::boolean THEN ${error} ELSE error_detail END,
        status_detail = ${failed ? statusDetail(error) : "null"}::text::json
    WHERE id = ${runId} AND status = 'RUNNING'`;
  return count === 1;
}

/** A success that comes late overturns a failure that was only presumed. */
async function reconcile(transaction: TransactionSql, completion: Completion): Promise<boolean> {
  const { runId, conversationId = null, cost = null } = completion;
  const { count } = await transaction`
    UPDATE automation_runs
    SET status = 'COMPLETED', completed_at = ${hostNow()}::text::timestamptz,
        conversation_id = coalesce(${conversationId}, conversation_id),
        cost = coalesce(${cost}::float8, cost), error_detail = NULL, status_detail = 'null'::json
    WHERE id = ${runId} AND status = 'FAILED' AND error_detail LIKE ${`${RECONCILABLE}%`}`;
  return count === 1;
}

function statusDetail(error: string): string {
  const at = hostNow();
  return JSON.stringify({
    phase: "callback",
    kind: "execution_error",
    detail: error,
    transient: false,
    fingerprint: "callback:sdk_callback:complete_run:execution_error",
    first_seen_at: at,
    last_seen_at: at,
    count: 1,
    source: "sdk_callback",
    operation: "complete_run",
  });
}

function hostNow(inMs = 0): string {
  return new Date(Date.now() + inMs).toISOString().replace("Z", "+00:00");
}
