import { type Check, type Fact, failure, ifKnown, skipped, warning } from "./check.ts";
import {
  checkAutoDisable,
  checkFleet,
  checkHostWatchdog,
  type FleetFacts,
  type HostSettings,
  type HostWatchdogFacts,
  type OwnWorker,
} from "./fleet.ts";
import {
  checkSchema,
  checkServer,
  POSTGRES,
  type SchemaState,
  type ServerFacts,
} from "./postgres.ts";
import { checkStalePlan, type StalePlan } from "./stale-plan.ts";

export interface PostgresFacts {
  readonly server: ServerFacts;
  readonly schema: Fact<SchemaState>;
  readonly plan: Fact<StalePlan>;
  readonly fleet: Fact<FleetFacts>;
  readonly endedElsewhere: Fact<HostWatchdogFacts>;
}

const TABLES = ["host tables", "own tables", "privileges", "stale page"] as const;
const FLEET = ["lease kind", "sweeps", "workers", "host's watchdog"] as const;
const REST = ["pooler", "postgres clock", ...TABLES] as const;

const SEE_ADDRESS =
  "see that Postgres runs and lets this user in at that address: DATABASE_URL, or AUTOMATION_DB_URL, or AUTOMATION_DB_HOST and its companions";

/** Postgres and its tables. */
export function checkPostgres(
  facts: Fact<PostgresFacts>,
  pooler: "auto" | "on" | "off",
): readonly Check[] {
  if (facts.kind === "unknown") {
    return [failure(POSTGRES, facts.why, SEE_ADDRESS), ...skipped(POSTGRES, ...REST)];
  }
  const { server, schema, plan } = facts.value;
  const checks = checkServer(server, pooler);
  if (schema.kind === "unknown") {
    const found = `could not be looked at: ${schema.why}`;
    return [...checks, ...TABLES.map((link) => warning(link, found))];
  }
  const tables = checkSchema(schema.value, server.user);
  const broken = brokenTables(schema.value);
  const page = broken === null ? [checkPage(plan, schema.value)] : skipped(broken, "stale page");
  return [...checks, ...tables, ...page];
}

function checkPage(plan: Fact<StalePlan>, { found }: SchemaState): Check {
  const { scanAdvice, warnings } = found;
  const missing = warnings.find((text) => text === scanAdvice) ?? null;
  if (missing !== null) return warning("stale page", missing);
  const remedy = scanAdvice ?? "ANALYZE automation_runs";
  return ifKnown("stale page", plan, (value) => checkStalePlan(value, remedy));
}

/** Whoever else works on these tables. */
export function checkOthers(
  facts: Fact<PostgresFacts>,
  own: OwnWorker | null,
  host: HostSettings,
): readonly Check[] {
  return [...checkTheirWork(facts, own, host), checkAutoDisable(host)];
}

function checkTheirWork(
  facts: Fact<PostgresFacts>,
  own: OwnWorker | null,
  host: HostSettings,
): readonly Check[] {
  if (facts.kind === "unknown") return skipped(POSTGRES, ...FLEET);
  const { schema, fleet, endedElsewhere } = facts.value;
  const broken = schema.kind === "known" ? brokenTables(schema.value) : null;
  if (broken !== null) return skipped(broken, ...FLEET);
  return [
    ...checkWorkers(fleet, own),
    ifKnown("host's watchdog", endedElsewhere, (value) => checkHostWatchdog(value, host)),
  ];
}

function checkWorkers(fleet: Fact<FleetFacts>, own: OwnWorker | null): readonly Check[] {
  if (own === null) return skipped("settings", ...FLEET.slice(0, 3));
  if (fleet.kind === "known") return checkFleet(fleet.value, own);
  return [warning("workers", `could not be looked at: ${fleet.why}`)];
}

function brokenTables({ problems }: SchemaState): string | null {
  const broken = problems.find(({ about }) => about === "host tables" || about === "own tables");
  return broken?.about ?? null;
}
