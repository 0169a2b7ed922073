import type { StalePlan } from "../../../rules/doctor/stale-plan.ts";
import { type Statement, statement, type Values } from "../connection/statement.ts";
import type { Database } from "../database.ts";
import { partParams, STALE_PAGE } from "../runs/run-pages.ts";
import { NIL_UUID } from "../sql.ts";

const ROWS = statement<
  Record<never, never>,
  { readonly rows: number | null; readonly now: string }
>(`
  SELECT CASE WHEN relkind IN ('r', 'p') THEN reltuples::numeric END AS rows, to_json(now()) #>> '{}' AS now
  FROM pg_class WHERE oid = to_regclass('automation_runs')`);

/**
 * How Postgres would look for stale runs: the very statement of a sweep, planned and not run.
 *
 * @throws StoreUnavailableError, StoreSchemaError.
 */
export async function planStalePage(
  database: Database,
  limits: { readonly nullDeadlineAfterMs: number; readonly limit: number },
): Promise<StalePlan> {
  const [table] = await database.query("counting runs by estimate", ROWS, {});
  if (table === undefined) throw new Error("there is no table automation_runs");
  const params = {
    ...limits,
    ...partParams(null),
    horizon: table.now,
    includeSuspected: false,
    afterAt: "-infinity",
    afterId: NIL_UUID,
  };
  const [row] = await database.query(
    "planning the look for stale runs",
    explained(STALE_PAGE(null)),
    params,
  );
  return { plan: row?.["QUERY PLAN"] ?? null, estimatedRuns: table.rows };
}

function explained<Params extends Values<Params>>({
  text,
  names,
}: Statement<Params, object>): Statement<Params, { readonly "QUERY PLAN": unknown }> {
  return { text: `EXPLAIN (FORMAT JSON) ${text}`, names, prepared: false };
}
