import { type Check, ok, warning } from "./check.ts";

export interface StalePlan {
  /** What EXPLAIN (FORMAT JSON) answers. */
  readonly plan: unknown;
  /** As Postgres estimates the size of the table: negative when it never did, `null` for a view. */
  readonly estimatedRuns: number | null;
}

const LINK = "stale page";
/** The statement also looks at what is remembered of runs. */
const OWN_INDEXES = ["suspicions_pkey", "suspicions_look_at"];
/** Reading so few takes no time, and Postgres knows that: no index is used, and none is missed. */
const FEW_RUNS = 10_000;

/** @param remedy for a plan without an index, where one seems to be there. */
export function checkStalePlan({ plan, estimatedRuns }: StalePlan, remedy: string): Check {
  const nodes = nodesOf(plan);
  const indexes = new Set(nodes.flatMap(({ index }) => (index === null ? [] : [index])));
  for (const name of OWN_INDEXES) indexes.delete(name);
  const wholeReads = nodes.filter(
    ({ type, relation }) => type === "Seq Scan" && relation !== "suspicions",
  );
  if (nodes.length === 0) return warning(LINK, "the plan of the statement could not be read");
  if (wholeReads.length === 0) return ok(LINK, `read by index (${[...indexes].join(", ")})`);
  if (estimatedRuns !== null && estimatedRuns < FEW_RUNS) {
    return ok(LINK, "so few runs are read whole, without an index");
  }
  const runs = estimatedRuns === null ? "the whole table" : `all of about ${estimatedRuns} runs`;
  return warning(LINK, `no index is used: ${runs} would be read`, remedy);
}

interface PlanNode {
  readonly type: string;
  readonly relation: string | null;
  readonly index: string | null;
}

function nodesOf(value: unknown): readonly PlanNode[] {
  if (Array.isArray(value)) return value.flatMap(nodesOf);
  if (typeof value !== "object" || value === null) return [];
  const type: unknown = Reflect.get(value, "Node Type");
  const below = [...nodesOf(Reflect.get(value, "Plan")), ...nodesOf(Reflect.get(value, "Plans"))];
  if (typeof type !== "string") return below;
  const relation = textOf(Reflect.get(value, "Relation Name"));
  return [{ type, relation, index: textOf(Reflect.get(value, "Index Name")) }, ...below];
}

function textOf(value: unknown): string | null {
  return typeof value === "string" ? value : null;
}
