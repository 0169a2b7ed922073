/**
 * Conditions that several statements share, on `run`, a row of automation_runs, and `s`, the row of
 * watchdog.suspicions about it. Where only one of the two is read, the other is asked in a select of its own: planned as
 * a join, a page that does not fill up reads or sorts all runs there are.
 */

/** The parameters of these conditions. */
export interface QueryParams {
  readonly horizon: string;
  readonly nullDeadlineAfterMs: number;
  readonly includeSuspected: boolean;
}

/** A select of its own, so that the text is read once and not for every row. */
export const HORIZON = "(SELECT :horizon::text::timestamptz)";

export const BEGAN = "coalesce(run.started_at, run.created_at)";

/** A run without a deadline gets one from its beginning. */
export const DEADLINE = `coalesce(run.timeout_at,
  ${BEGAN} + :nullDeadlineAfterMs::float8 * interval '1 millisecond')`;

/** Whatever was said of another attempt, sandbox or command does not count. */
export const IS_ABOUT_THIS = `(s.sandbox_id IS NOT DISTINCT FROM run.sandbox_id
  AND s.bash_command_id IS NOT DISTINCT FROM run.bash_command_id
  AND s.began_at IS NOT DISTINCT FROM ${BEGAN})`;

/** The run's deadline is the shield that we set, so that our own look counts instead. */
export const IS_SHIELDED =
  "coalesce(s.shield_at = run.timeout_at AND s.look_at IS NOT NULL, false)";

export const IS_DUE = `(CASE WHEN ${IS_SHIELDED} THEN s.look_at ELSE ${DEADLINE} END < ${HORIZON})`;

/** The run failed to be handled a short while ago. */
export const IS_WAITING = `coalesce(s.error_retry_at > ${HORIZON} AND ${IS_ABOUT_THIS}, false)`;

export const IS_SUSPECTED = `(s.presumed_times > 0 AND ${IS_ABOUT_THIS})`;

/** What this sweep noted itself is not to be met by it again. */
export const IS_SUSPECTED_BEFORE = `(${IS_SUSPECTED} AND s.noted_at < ${HORIZON})`;

/** A column of `s` as far as it counts. */
export function counted(column: string): string {
  return `CASE WHEN ${IS_ABOUT_THIS} THEN s.${column} END`;
}
