import type { RunSnapshot } from "../../../rules/model.ts";
import { statement } from "../connection/statement.ts";
import type { Database } from "../database.ts";
import { ISO_NOW } from "../sql.ts";

interface SampleParams {
  readonly needsSandboxId: boolean;
  readonly needsBashCommandId: boolean;
}

type SampleRow = Pick<
  RunSnapshot,
  "id" | "automationId" | "userId" | "orgId" | "status" | "sandboxId" | "bashCommandId" | "readAt"
>;

const newest = (status: string) => `
  (SELECT run.id, run.automation_id AS "automationId", a.user_id AS "userId", a.org_id AS "orgId",
     run.status, run.sandbox_id AS "sandboxId", run.bash_command_id AS "bashCommandId",
     ${ISO_NOW} AS "readAt"
   FROM automation_runs AS run JOIN automations AS a ON a.id = run.automation_id
   WHERE run.status = '${status}'
     AND (NOT :needsSandboxId::boolean OR run.sandbox_id <> '')
     AND (NOT :needsBashCommandId::boolean OR run.bash_command_id <> '')
   ORDER BY run.created_at DESC
   LIMIT 1)`;

/** One that runs leads through the whole chain; of one that has ended the sandbox may be gone, which is an answer too. */
const SAMPLE = statement<SampleParams, SampleRow>(
  ["RUNNING", "COMPLETED", "FAILED"].map(newest).join(" UNION ALL "),
);

/**
 * A run to ask the backend about, `null` when there is none.
 *
 * @param needs which of its ids the backend cannot do without.
 * @throws StoreUnavailableError, StoreSchemaError.
 */
export async function findSampleRun(
  database: Database,
  needs: readonly ("sandboxId" | "bashCommandId")[],
): Promise<RunSnapshot | null> {
  const params = {
    needsSandboxId: needs.includes("sandboxId"),
    needsBashCommandId: needs.includes("bashCommandId"),
  };
  const [row] = await database.query("looking for a run to ask about", SAMPLE, params);
  if (row === undefined) return null;
  return { ...row, ...NOT_READ };
}

/** Nothing is judged by it. */
const NOT_READ = {
  stale: false,
  timeoutAt: null,
  firstDeadlineMs: 0,
  beganAt: null,
  beganAtMs: 0,
  timeoutS: null,
  keepAlive: true,
  firstRunOpen: false,
  statusDetail: null,
  suspicion: null,
  isRemembered: false,
} as const;
