/** Everybody else who writes to a run, each with a change that the test can recognise. */
import { randomBytes } from "node:crypto";
import type { Sql } from "postgres";
import { cancelRun, completeRun, dispatchPhaseTwo } from "../fake-host/callback.ts";
import { randomCommandId } from "../support/world/world.ts";

export interface ConcurrentWriter {
  readonly name: string;
  /** The run needs no verdict any more: it has ended or has a new deadline. */
  readonly resolves: boolean;
  act(sql: Sql, runId: string): Promise<unknown>;
}

export const CONCURRENT_WRITERS: readonly ConcurrentWriter[] = [
  {
    name: "a callback that reports success",
    resolves: true,
    act: (sql, runId) =>
      completeRun(sql, { runId, status: "COMPLETED", conversationId: "conversation-1", cost: 1.5 }),
  },
  {
    name: "a callback that reports failure",
    resolves: true,
    act: (sql, runId) =>
      completeRun(sql, { runId, status: "FAILED", error: "no", conversationId: "conversation-2" }),
  },
  {
    name: "a cancel",
    resolves: true,
    act: (sql, runId) => cancelRun(sql, runId),
  },
  {
    name: "a dispatcher that moves the deadline",
    resolves: true,
    act: (sql, runId) => dispatchPhaseTwo(sql, { runId }),
  },
  {
    name: "a dispatcher that writes the sandbox",
    resolves: false,
    act: (sql, runId) =>
      sql`UPDATE automation_runs SET sandbox_id = ${randomSandboxId()} WHERE id = ${runId}`,
  },
  {
    name: "a dispatcher that writes the command",
    resolves: false,
    act: (sql, runId) =>
      sql`UPDATE automation_runs SET bash_command_id = ${randomCommandId()} WHERE id = ${runId}`,
  },
  {
    name: "a host that starts the run anew in its row",
    resolves: false,
    act: (sql, runId) => sql`UPDATE automation_runs SET started_at = now() WHERE id = ${runId}`,
  },
];

function randomSandboxId(): string {
  return randomBytes(11).toString("hex");
}
