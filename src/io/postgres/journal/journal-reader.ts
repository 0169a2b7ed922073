import type { JournaledVerdict, Remembered, RunRecord } from "../../../rules/history/journal.ts";
import type { JournalReader, VerdictQuery } from "../../../watchdog/journal-ports.ts";
import { statement, unprepared } from "../connection/statement.ts";
import type { Database } from "../database.ts";
import { BEGAN, DEADLINE, IS_ABOUT_THIS, IS_SHIELDED } from "../runs/run-conditions.ts";
import { HAS_ENDED, IS_PRESUMED_DEAD } from "../sql.ts";

/**
 * The journal and single runs, for people. Nothing is looked up beforehand: only columns are read that every host has,
 * and whoever may read them need not be able to write anything.
 */
export class PostgresJournalReader implements JournalReader {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  async verdicts(query: VerdictQuery): Promise<readonly JournaledVerdict[]> {
    const rows = await this.#database.query("reading the journal", VERDICTS, { ...query });
    return rows.map(toVerdict);
  }

  async run(runId: string, nullDeadlineAfterMs: number): Promise<RunRecord | null> {
    const params = { runId, nullDeadlineAfterMs };
    const [row] = await this.#database.query("reading a run", RUN, params);
    return row === undefined ? null : toRecord(row);
  }
}

/** A run that began after the verdict is another attempt in the same row. */
const IS_OVERTURNED = `coalesce(v.basis = 'presumption' AND (
    v.overturned_at IS NOT NULL
    OR ${HAS_ENDED} AND (${IS_PRESUMED_DEAD}) IS NOT TRUE AND ${BEGAN} <= v.decided_at
  ), false)`;

/** With the parameters known when it is planned: what does not matter is left out, and the fitting index is used. */
const VERDICTS = unprepared<VerdictQuery, JournaledVerdict>(`
  SELECT
    v.run_id AS "runId",
    v.automation_id AS "automationId",
    ${instant("v.decided_at")} AS "decidedAt",
    v.outcome,
    v.basis,
    v.reason,
    v.evidence - 'suspicion' AS evidence,
    v.epoch,
    v.holder,
    v.trigger,
    v.override_reason AS "overrideReason",
    CASE WHEN v.evidence ? 'suspicion' THEN json_build_object(
      'firstDeadlineAt', v.evidence #> '{suspicion,first_deadline_at}',
      'presumedTimes', v.evidence #> '{suspicion,presumed_times}',
      'presumedLastAt', v.evidence #> '{suspicion,presumed_last_at}',
      'unknownTimes', v.evidence #> '{suspicion,unknown_times}',
      'unknownSince', v.evidence #> '{suspicion,unknown_since}',
      'heldSince', v.evidence #> '{suspicion,held_since}') END AS suspicion,
    json_build_object(
      'state', v.cleanup_state,
      'attempts', v.cleanup_attempts,
      'nextAt', v.cleanup_next_at,
      'error', v.cleanup_error) AS cleanup,
    ${IS_OVERTURNED} AS overturned,
    ${instant("v.overturned_at")} AS "overturnedAt",
    run.status AS "statusNow"
  FROM watchdog.verdicts AS v
  LEFT JOIN automation_runs AS run ON run.id = v.run_id
  WHERE v.basis IN ('proof', 'presumption')
    AND (:runId::uuid IS NULL OR v.run_id = :runId::uuid)
    AND (:sinceMs::float8 IS NULL
      OR v.decided_at >= now() - :sinceMs::float8 * interval '1 millisecond')
    AND (:basis::text IS NULL OR v.basis = :basis::text)
    AND (:outcome::text IS NULL OR v.outcome = :outcome::text)
    AND (NOT :overturned::boolean OR ${IS_OVERTURNED})
  ORDER BY v.decided_at DESC, v.id DESC
  LIMIT :limit::bigint`);

interface RunParams {
  readonly runId: string;
  readonly nullDeadlineAfterMs: number;
}

const RUN = statement<RunParams, RunRecord>(`
  SELECT
    run.id AS "runId",
    run.automation_id AS "automationId",
    run.status,
    ${instant(BEGAN)} AS "beganAt",
    ${instant("run.completed_at")} AS "completedAt",
    ${instant("run.timeout_at")} AS "timeoutAt",
    run.sandbox_id AS "sandboxId",
    run.bash_command_id AS "bashCommandId",
    (${IS_PRESUMED_DEAD}) IS TRUE AS "timedOut",
    ${instant(`CASE WHEN ${IS_SHIELDED} THEN s.look_at ELSE ${DEADLINE} END`)} AS "dueAt",
    ${IS_SHIELDED} AS shielded,
    CASE WHEN s.run_id IS NOT NULL AND ${IS_ABOUT_THIS} THEN json_build_object(
      'firstDeadlineAt', s.first_deadline_at,
      'notedAt', s.noted_at,
      'presumedTimes', s.presumed_times,
      'presumedReason', s.presumed_reason,
      'presumedLastAt', s.presumed_last_at,
      'unknownTimes', s.unknown_times,
      'unknownSince', s.unknown_since,
      'unknownCause', s.unknown_cause,
      'errorTimes', s.error_times,
      'errorCause', s.error_cause,
      'errorRetryAt', s.error_retry_at,
      'heldSince', s.held_since) END AS remembered,
    ${instant("now()")} AS "readAt"
  FROM automation_runs AS run
  LEFT JOIN watchdog.suspicions AS s ON s.run_id = run.id
  WHERE run.id = :runId::uuid`);

/** A point in time as text, whatever the session's style of dates. */
function instant(expression: string): string {
  return `to_json(${expression}) #>> '{}'`;
}

function toVerdict({ suspicion, cleanup, ...row }: JournaledVerdict): JournaledVerdict {
  return {
    ...row,
    decidedAt: utc(row.decidedAt),
    overturnedAt: utc(row.overturnedAt),
    suspicion: suspicion && {
      ...suspicion,
      firstDeadlineAt: utc(suspicion.firstDeadlineAt),
      presumedLastAt: utc(suspicion.presumedLastAt),
      unknownSince: utc(suspicion.unknownSince),
      heldSince: utc(suspicion.heldSince),
    },
    cleanup: { ...cleanup, nextAt: utc(cleanup.nextAt) },
  };
}

function toRecord({ remembered, ...row }: RunRecord): RunRecord {
  return {
    ...row,
    beganAt: utc(row.beganAt),
    completedAt: utc(row.completedAt),
    timeoutAt: utc(row.timeoutAt),
    dueAt: utc(row.dueAt),
    readAt: utc(row.readAt),
    remembered: remembered && utcOf(remembered),
  };
}

function utcOf(remembered: Remembered): Remembered {
  return {
    ...remembered,
    firstDeadlineAt: utc(remembered.firstDeadlineAt),
    notedAt: utc(remembered.notedAt),
    presumedLastAt: utc(remembered.presumedLastAt),
    unknownSince: utc(remembered.unknownSince),
    errorRetryAt: utc(remembered.errorRetryAt),
    heldSince: utc(remembered.heldSince),
  };
}

/** In milliseconds; a point in time that no Date can hold stays as Postgres writes it. */
function utc<T extends string | null>(at: T): T | string {
  if (at === null) return at;
  const ms = Date.parse(at);
  return Number.isNaN(ms) ? at : new Date(ms).toISOString();
}
