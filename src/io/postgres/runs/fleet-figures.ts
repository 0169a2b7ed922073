import type { FigureReads, FigureTimes, FleetFigures } from "../../../watchdog/figure-ports.ts";
import { statement } from "../connection/statement.ts";
import type { Database } from "../database.ts";
import { BEGAN, counted, DEADLINE } from "./run-conditions.ts";

/** What is counted for metrics. */
export class PostgresFigures implements FigureReads {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  async figures({ nullDeadlineAfterMs, policy }: FigureTimes): Promise<FleetFigures> {
    const { defaultRunMs, maxRunMs, readyTimeoutMs, hardGraceMs } = policy;
    const besidesMs = readyTimeoutMs + hardGraceMs;
    const params = { nullDeadlineAfterMs, defaultRunMs, maxRunMs, besidesMs };
    const [row] = await this.#database.scan("counting runs", FIGURES, params);
    if (row === undefined) throw new Error("counting runs returned nothing");
    return row;
  }
}

interface FigureParams {
  readonly nullDeadlineAfterMs: number;
  readonly defaultRunMs: number;
  readonly maxRunMs: number;
  /** What the host allows besides the run itself. */
  readonly besidesMs: number;
}

/** Seconds are subtracted, not instants: a deadline of -infinity stops older servers. */
const sinceMs = (instant: string) =>
  `trunc((extract(epoch FROM now()) - extract(epoch FROM ${instant})) * 1000)`;

const FIGURES = statement<FigureParams, FleetFigures>(`
  SELECT
    trunc(extract(epoch FROM clock_timestamp()) * 1000) AS "nowMs",
    (SELECT epoch FROM watchdog.leadership) AS epoch,
    count(*) FILTER (WHERE status = 'RUNNING' AND first_deadline < now()) AS "overdueRuns",
    ${sinceMs("min(first_deadline) FILTER (WHERE status = 'RUNNING' AND first_deadline < now())")}
      AS "oldestOverdueMs",
    count(*) FILTER (WHERE status = 'RUNNING'
      AND hard_deadline > now() AND hard_deadline <= now() + interval '1 hour')
      AS "hardDeadlineSoonRuns",
    count(*) FILTER (WHERE status = 'RUNNING' AND unknown_since < now() - interval '1 hour')
      AS "silentRuns",
    count(*) FILTER (WHERE status = 'PENDING' AND created_at < now() - interval '1 minute')
      AS "pendingRuns",
    ${sinceMs("min(created_at) FILTER (WHERE status = 'PENDING')")} AS "oldestPendingMs",
    (SELECT count(*) FROM watchdog.verdicts WHERE cleanup_state = 'pending') AS "pendingCleanups",
    (SELECT ${sinceMs("min(coalesce(cleanup_due_at, decided_at))")}
     FROM watchdog.verdicts
     WHERE cleanup_state = 'pending' AND coalesce(cleanup_due_at, decided_at) < now())
      AS "oldestCleanupMs"
  FROM (
    SELECT
      run.status,
      run.created_at,
      least(${counted("first_deadline_at")}, ${DEADLINE}) AS first_deadline,
      ${BEGAN} + (:besidesMs::float8 + least(
        coalesce(automations.timeout * 1000::float8, :defaultRunMs::float8), :maxRunMs::float8))
        * interval '1 millisecond' AS hard_deadline,
      ${counted("unknown_since")} AS unknown_since
    FROM automation_runs AS run
    LEFT JOIN automations ON automations.id = run.automation_id
    LEFT JOIN watchdog.suspicions AS s ON s.run_id = run.id
    WHERE run.status IN ('RUNNING', 'PENDING')
  ) AS known`);
