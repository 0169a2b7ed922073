/** What the demo has before the first watchdog starts: a database, a fake host, runs. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import postgres, { type Sql } from "postgres";
import { type FakeHost, startFakeHost } from "../../fake-host/fake-host.ts";
import { type SeededAutomation, seedAutomation, seedRuns } from "../../fake-host/seed.ts";
import { startPostgres } from "../../services/postgres/embedded-postgres.ts";
import { Throwaway } from "../../services/throwaway.ts";
import { type Program, runProgram } from "../watchdogs/program.ts";
import { type DemoRun, type PlannedRun, planRuns } from "./runs.ts";

/** Of every answer: long enough to see the sweeps at work. */
export const LATENCY_MS = 40;
const OWN_CONNECTIONS = 12;

export const TIMING = {
  everyS: 5,
  deferS: 3,
  leaseTtlS: 5,
  concurrency: 16,
} as const;

export interface DemoEnvironment extends AsyncDisposable {
  readonly sql: Sql;
  readonly host: FakeHost;
  readonly runs: readonly DemoRun[];
  /** Rows and sandboxes for runs that come later. */
  readonly addRuns: (planned: readonly PlannedRun[]) => Promise<readonly DemoRun[]>;
  /** Holds the logs; whatever runs under it ends with us. */
  readonly temporary: Throwaway;
  readonly databaseUrl: string;
  /** What a watchdog needs to work here. */
  readonly env: Readonly<Record<string, string>>;
  /** A file for a shell that says the same. */
  readonly envFile: string;
}

export interface EnvironmentOptions {
  /** How many runs there are to begin with. */
  readonly count: number;
  readonly program: Program;
  readonly announce: (text: string) => void;
}

export async function openEnvironment(
  options: EnvironmentOptions,
  signal: AbortSignal,
): Promise<DemoEnvironment> {
  const { count, program, announce } = options;
  await using resources = new AsyncDisposableStack();
  announce("starting PostgreSQL in a folder of its own");
  const server = resources.use(await startPostgres({ settings: { fsync: "off" } }, signal));
  const databaseUrl = server.url();
  const sql = resources.adopt(connect(databaseUrl), (client) => client.end({ timeout: 1 }));
  await openAll(sql);
  announce(
    `PostgreSQL ${await versionOf(sql)} is up; creating the tables: migrate --with-host-tables`,
  );
  await migrate(program, databaseUrl, signal);
  const host = resources.use(await startFakeHost({ latencyMs: LATENCY_MS, keepRequests: 0 }));
  const runs = await addRuns(sql, host, planRuns(count));
  await protect(sql, runs);
  const overdue = runs.filter(({ kind }) => kind !== "not due").length;
  announce(`${count} runs are there, ${overdue} of them RUNNING past their deadline`);

  const temporary = resources.adopt(
    await Throwaway.create({ name: "run-watchdog-demo", stopSignal: "TERM" }),
    (created) => created.dispose(),
  );
  const env = {
    DATABASE_URL: databaseUrl,
    AUTOMATION_OPENHANDS_API_BASE_URL: host.url,
    AUTOMATION_SERVICE_KEY: host.serviceKey,
    WATCHDOG_SCHEDULE: `*/${TIMING.everyS} * * * * *`,
    WATCHDOG_DEFER: `${TIMING.deferS}s`,
    WATCHDOG_LEASE_TTL: `${TIMING.leaseTtlS}s`,
    WATCHDOG_LEASE_RENEW: "1s",
    WATCHDOG_LEASE_MARGIN: "500ms",
    WATCHDOG_CONCURRENCY: String(TIMING.concurrency),
    WATCHDOG_HEALTH_HOST: "127.0.0.1",
    WATCHDOG_HEALTH_PORT: "0",
  };
  const envFile = join(temporary.folder, "env");
  await writeFile(envFile, shellExports(env), { mode: 0o600 });
  const opened = resources.move();
  return {
    sql,
    host,
    runs,
    addRuns: (planned) => addRuns(sql, host, planned),
    temporary,
    databaseUrl,
    env,
    envFile,
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

/** Not under the watchdog's name: its sessions are what the demo looks for. */
function connect(databaseUrl: string): Sql {
  return postgres(databaseUrl, {
    max: OWN_CONNECTIONS,
    fetch_types: false,
    onnotice: () => undefined,
    connection: { application_name: "run-watchdog-demo" },
  });
}

/** So that no callback is measured with the opening of its connection. */
async function openAll(sql: Sql): Promise<void> {
  await Promise.all(Array.from({ length: OWN_CONNECTIONS }, () => sql`SELECT pg_sleep(0.05)`));
}

async function versionOf(sql: Sql): Promise<string> {
  const [row] = await sql<{ readonly version: string }[]>`
    SELECT split_part(current_setting('server_version'), ' ', 1) AS version`;
  return row?.version ?? "";
}

async function migrate(program: Program, databaseUrl: string, signal: AbortSignal): Promise<void> {
  const args = ["migrate", "--with-host-tables"];
  const env = { DATABASE_URL: databaseUrl };
  const { exitCode, stderr } = await runProgram(program, args, env, signal);
  if (exitCode !== 0) throw new Error(`migrate ended with exit code ${exitCode}: ${stderr.trim()}`);
}

/** Rows for all of them, and the sandboxes that their rows name. */
async function addRuns(
  sql: Sql,
  host: FakeHost,
  planned: readonly PlannedRun[],
): Promise<readonly DemoRun[]> {
  const automations = new Map<string, SeededAutomation>();
  for (const { kind, automation, shared } of planned) {
    if (shared && !automations.has(kind)) {
      automations.set(kind, await seedAutomation(sql, automation));
    }
  }
  const seeded = await seedRuns(
    sql,
    planned.map(({ kind, automation, seed }) => {
      const of = automations.get(kind);
      return of === undefined ? { ...seed, automation } : { ...seed, of };
    }),
  );
  return planned.flatMap((plan, at): DemoRun[] => {
    const run = seeded[at];
    if (run === undefined) return [];
    const { sandboxId, userId, orgId, bashCommandId } = run;
    const sandbox = plan.sandbox(bashCommandId ?? "");
    if (sandbox !== null && sandboxId !== null) {
      const commands = bashCommandId === null ? [] : [{ id: bashCommandId }];
      host.addSandbox({ id: sandboxId, userId, orgId, commands, ...sandbox });
    }
    return [{ ...plan, ...run }];
  });
}

/** A host's own trigger that swallows every change of one row: a write that has no effect and raises no error. */
async function protect(sql: Sql, runs: readonly DemoRun[]): Promise<void> {
  await sql`
    CREATE FUNCTION demo_swallow() RETURNS trigger LANGUAGE plpgsql
    AS 'BEGIN RETURN NULL; END'`;
  for (const { kind, id } of runs) {
    if (kind !== "protected") continue;
    await sql.unsafe(
      `CREATE TRIGGER demo_swallow BEFORE UPDATE ON automation_runs FOR EACH ROW
       WHEN (OLD.id = '${id}') EXECUTE FUNCTION demo_swallow()`,
    );
  }
}

function shellExports(env: Readonly<Record<string, string>>): string {
  return Object.entries(env)
    .map(([name, value]) => `export ${name}='${value}'\n`)
    .join("");
}
