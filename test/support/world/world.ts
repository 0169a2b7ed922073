/** A worker's whole world for one test: own database, own fake host, and the real parts in between. */
import { randomBytes } from "node:crypto";
import { openRuntime, type Runtime } from "../../../src/app/runtime.ts";
import { parseConfig } from "../../../src/config/config.ts";
import type { SweepReport } from "../../../src/rules/report.ts";
import { leadSweep } from "../../../src/watchdog/lead/lead-sweep.ts";
import type { LeadDeps, LeadResult } from "../../../src/watchdog/lead/model.ts";
import type { Log } from "../../../src/watchdog/ports.ts";
import { type FakeHost, startFakeHost } from "../../fake-host/fake-host.ts";
import type { Sandbox } from "../../fake-host/model.ts";
import { type RunSeed, type SeededRun, seedRun } from "../../fake-host/seed.ts";
import {
  createDatabase,
  type DatabaseOptions,
  type TestDatabase,
} from "../../services/postgres/database.ts";

export interface World extends AsyncDisposable {
  readonly database: TestDatabase;
  readonly host: FakeHost;
  /** What a process needs to work in this world. */
  readonly env: Readonly<Record<string, string>>;
  /** A run and the sandbox it names. */
  seed(run?: RunSeed, sandbox?: Partial<Sandbox>): Promise<SeededRun>;
  /** A worker of its own, with its own connections; `extra` adds variables. */
  open(extra?: Readonly<Record<string, string>>): Runtime;
  /** One sweep by a worker of its own, as `once` does it. */
  sweep(options?: SweepOptions): Promise<SweepReport>;
  row(runId: string): Promise<RunRow>;
  /** The id of a run that is still to be seeded, in that shard of four. */
  idIn(shard: number): Promise<string>;
}

export interface SweepOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly runIds?: readonly string[];
  readonly limit?: number;
  readonly overrideReason?: string;
  readonly trigger?: "cron" | "once";
  /** Of those that `env` divides the runs into; all of them when left out. */
  readonly shard?: number;
  /** Puts doubles in the place of single parts. */
  readonly replace?: (deps: LeadDeps) => Partial<LeadDeps>;
  readonly signal?: AbortSignal;
}

export interface RunRow {
  readonly status: string;
  readonly error_detail: string | null;
  /** As text; `null` for SQL NULL. */
  readonly status_detail: string | null;
  readonly completed_at: Date | null;
  readonly timeout_at: string | null;
}

export const silentLog: Log = { debug() {}, info() {}, warn() {}, error() {} };

export async function createWorld(options: DatabaseOptions = {}): Promise<World> {
  await using resources = new AsyncDisposableStack();
  const database = resources.use(await createDatabase(options));
  const host = resources.use(await startFakeHost());
  const env = {
    DATABASE_URL: database.url,
    AUTOMATION_OPENHANDS_API_BASE_URL: host.url,
    AUTOMATION_SERVICE_KEY: host.serviceKey,
    WATCHDOG_HEALTH_PORT: "0",
    WATCHDOG_HEALTH_HOST: "127.0.0.1",
    // One sweep shows every verdict; tests of confirmations and of the guard set their own.
    WATCHDOG_CONFIRMATIONS: "1",
    WATCHDOG_GUARD_MIN: "10000",
    WATCHDOG_GUARD_PER_HOUR: "100000",
  };

  function open(extra: Readonly<Record<string, string>> = {}): Runtime {
    const { config } = parseConfig({ ...env, ...extra }, () => "");
    const facts = { hostname: "test", pid: process.pid, version: "0", nodeVersion: "0" };
    return openRuntime(config, facts, silentLog);
  }

  const opened = resources.move();
  return {
    database,
    host,
    env,
    open,
    async seed(run = {}, sandbox = {}) {
      const seeded = await seedRun(database.sql, run);
      const { sandboxId: id, userId, orgId } = seeded;
      const commands = commandsOf(seeded);
      if (id !== null) host.addSandbox({ id, userId, orgId, commands, ...sandbox });
      return seeded;
    },
    async sweep(sweepOptions = {}) {
      await using runtime = open(sweepOptions.env);
      const result = await leadOnce(runtime, sweepOptions);
      if (result.kind !== "swept") throw new Error(`nothing was swept: ${result.kind}`);
      return result.report;
    },
    async row(runId) {
      const [row] = await database.sql<RunRow[]>`
        SELECT status, error_detail, status_detail::text, completed_at, timeout_at::text
        FROM automation_runs WHERE id = ${runId}`;
      if (row === undefined) throw new Error(`there is no run ${runId}`);
      return row;
    },
    async idIn(shard) {
      const [row] = await database.sql<{ readonly id: string }[]>`
        SELECT id FROM (SELECT gen_random_uuid() AS id FROM generate_series(1, 500)) AS ids
        WHERE (uuid_hash(id) & 2147483647) % 4 = ${shard} LIMIT 1`;
      if (row === undefined) throw new Error(`no id for shard ${shard}`);
      return row.id;
    },
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

/** Between our next look at a run and the deadline that hides it: two of the intervals below, and a minute. */
export const SHIELD_S = 180;

/** One attempt to sweep with an opened runtime. */
export function leadOnce(runtime: Runtime, options: SweepOptions = {}): Promise<LeadResult> {
  const deps: LeadDeps = { ...runtime.deps, watch: {} };
  return leadSweep(
    { ...deps, ...options.replace?.(deps) },
    runtime.options,
    {
      trigger: options.trigger ?? "once",
      intervalMs: 60_000,
      runIds: options.runIds ?? null,
      limit: options.limit ?? null,
      overrideReason: options.overrideReason ?? null,
      ...(options.shard !== undefined && {
        shard: { index: options.shard, count: runtime.options.shards },
      }),
    },
    options.signal ?? new AbortController().signal,
  );
}

/** The run's own command, for the agent server that started it. */
export function commandsOf({ bashCommandId: id }: Pick<SeededRun, "bashCommandId">) {
  return id ? [{ id }] : [];
}

/** A bash output of the run's own command, for a sandbox. */
export function exitedWith(
  exitCode: number | null,
  run: { readonly bashCommandId: string | null },
) {
  return { commandId: run.bashCommandId ?? "", exitCode };
}

export function randomCommandId(): string {
  return randomBytes(16).toString("hex");
}
