import type { RunPart } from "../../../watchdog/store-ports.ts";
import { statement } from "../connection/statement.ts";
import {
  BEGAN,
  HORIZON,
  IS_ABOUT_THIS,
  IS_DUE,
  IS_SHIELDED,
  IS_SUSPECTED_BEFORE,
  IS_WAITING,
  type QueryParams,
} from "./run-conditions.ts";

/** The runs to take up, page by page: each part in the order of an index, behind the last one of the page before. */

/** The parameters of the conditions below. */
export interface PartParams {
  readonly shards: number;
  readonly shard: number;
  readonly confirmations: number;
  readonly unverifiableAfterMs: number;
}

/** Conditions to be added to others; empty where the runs are not divided. */
export interface PartConditions {
  /** Of a `run`; what is remembered of it is asked in a select of its own. */
  readonly runIsIn: string;
  /** Of `s` alone, before its run is looked up: false for most of those that are not in. */
  readonly noteMayBeIn: string;
  /** Of `s` and the `run` that it is about. */
  readonly noteIsIn: string;
}

/** What could become a presumption with the next look, and what is held back. */
const SAYS_FOR_THE_GUARD = `(s.presumed_times > 0 AND s.presumed_times >= :confirmations::int - 1
    OR s.held_since IS NOT NULL
    OR s.unknown_since <= ${HORIZON} - :unverifiableAfterMs::float8 * interval '1 millisecond')`;

const IS_FOR_THE_GUARD = `coalesce(${SAYS_FOR_THE_GUARD} AND ${IS_ABOUT_THIS}, false)`;

const HAS_REMAINDER = (id: string) =>
  `(uuid_hash(${id}) & 2147483647) % :shards::int = :shard::int`;

const OF_THE_NOTE = `(SELECT ${IS_FOR_THE_GUARD} FROM watchdog.suspicions AS s WHERE s.run_id = run.id)`;

const UNDIVIDED: PartConditions = { runIsIn: "", noteMayBeIn: "", noteIsIn: "" };

/** The first part has all runs that the guard is to decide on, whatever their ids. */
const FIRST: PartConditions = {
  runIsIn: `
       AND (${HAS_REMAINDER("run.id")} OR ${OF_THE_NOTE} IS TRUE)`,
  noteMayBeIn: `
       AND (${HAS_REMAINDER("s.run_id")} OR ${SAYS_FOR_THE_GUARD})`,
  noteIsIn: `
            AND (${HAS_REMAINDER("s.run_id")} OR ${IS_FOR_THE_GUARD})`,
};

const OTHER: PartConditions = {
  runIsIn: `
       AND ${HAS_REMAINDER("run.id")} AND ${OF_THE_NOTE} IS NOT TRUE`,
  noteMayBeIn: `
       AND ${HAS_REMAINDER("s.run_id")}`,
  noteIsIn: `
            AND NOT ${IS_FOR_THE_GUARD}`,
};

/** Statements that differ with the part of the runs that is asked for; `null` stands for all of them. */
export function perPart<T>(build: (conditions: PartConditions) => T): (part: RunPart | null) => T {
  const undivided = build(UNDIVIDED);
  const first = build(FIRST);
  const other = build(OTHER);
  return (part) => (part === null ? undivided : part.index === 0 ? first : other);
}

export function partParams(part: RunPart | null): PartParams {
  const { index: shard, count: shards, confirmations, unverifiableAfterMs } = part ?? ALL;
  return { shard, shards, confirmations, unverifiableAfterMs };
}

const ALL: RunPart = { index: 0, count: 1, confirmations: 1, unverifiableAfterMs: 0 };

interface PageParams extends QueryParams, PartParams {
  readonly afterId: string;
  readonly limit: number;
}

interface PageRow {
  readonly id: string;
}

/** A run is in one of the two parts: due by its own deadline, or by our look behind the shield that we set. */
export const STALE_PAGE = perPart(({ runIsIn, noteMayBeIn, noteIsIn }) =>
  statement<PageParams & { readonly afterAt: string }, PageRow & { readonly dueAt: string }>(`
  SELECT id, to_json(due_at) #>> '{}' AS "dueAt"
  FROM (
    (SELECT run.id, run.timeout_at AS due_at
     FROM automation_runs AS run
     WHERE run.status = 'RUNNING'
       AND run.timeout_at < :horizon::text::timestamptz
       AND (run.timeout_at, run.id) > (:afterAt::text::timestamptz, :afterId::uuid)
       AND (SELECT ${IS_SHIELDED} OR ${IS_WAITING}
            FROM watchdog.suspicions AS s WHERE s.run_id = run.id) IS NOT TRUE${runIsIn}
     ORDER BY run.timeout_at, run.id
     LIMIT :limit::bigint)
    UNION ALL
    (SELECT s.run_id, s.look_at
     FROM watchdog.suspicions AS s
     WHERE s.look_at < :horizon::text::timestamptz
       AND (s.look_at, s.run_id) > (:afterAt::text::timestamptz, :afterId::uuid)${noteMayBeIn}
       AND (SELECT ${IS_SHIELDED} AND NOT ${IS_WAITING}${noteIsIn}
            FROM automation_runs AS run WHERE run.id = s.run_id AND run.status = 'RUNNING')
     ORDER BY s.look_at, s.run_id
     LIMIT :limit::bigint)
  ) AS due
  ORDER BY due_at, id
  LIMIT :limit::bigint`),
);

export const PAGE_WITHOUT_DEADLINE = perPart(({ runIsIn }) =>
  statement<PageParams, PageRow>(`
  SELECT run.id
  FROM automation_runs AS run
  WHERE run.status = 'RUNNING'
    AND run.timeout_at IS NULL
    AND ${BEGAN} < ${HORIZON} - :nullDeadlineAfterMs::float8 * interval '1 millisecond'
    AND run.id > :afterId::uuid
    AND (SELECT ${IS_WAITING} FROM watchdog.suspicions AS s WHERE s.run_id = run.id) IS NOT TRUE${runIsIn}
  ORDER BY run.id
  LIMIT :limit::bigint`),
);

export const SUSPECTED_PAGE = perPart(({ noteMayBeIn, noteIsIn }) =>
  statement<PageParams, PageRow>(`
  SELECT s.run_id AS id
  FROM watchdog.suspicions AS s
  WHERE s.presumed_times > 0
    AND s.run_id > :afterId::uuid${noteMayBeIn}
    AND (SELECT ${IS_SUSPECTED_BEFORE} AND NOT ${IS_WAITING} AND ${IS_DUE} IS NOT TRUE${noteIsIn}
         FROM automation_runs AS run WHERE run.id = s.run_id AND run.status = 'RUNNING')
  ORDER BY s.run_id
  LIMIT :limit::bigint`),
);
