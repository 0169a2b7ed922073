/** The stores on a test's own database, and what their methods ask for. */
import { randomBytes } from "node:crypto";
import type { Sql } from "postgres";
import type { PoolOptions } from "../../../src/io/postgres/connection/pool.ts";
import type { ConnectionOptions } from "../../../src/io/postgres/connection/session.ts";
import { Database } from "../../../src/io/postgres/database.ts";
import { PostgresFleet } from "../../../src/io/postgres/fleet/fleet.ts";
import type { Access } from "../../../src/io/postgres/host-schema.ts";
import { PostgresJournal } from "../../../src/io/postgres/journal/journal.ts";
import { PostgresJournalReader } from "../../../src/io/postgres/journal/journal-reader.ts";
import { PostgresLeadership } from "../../../src/io/postgres/leadership/leadership.ts";
import { PostgresRunStore } from "../../../src/io/postgres/runs/run-store.ts";
import { type Shard, WHOLE } from "../../../src/rules/fleet/shard.ts";
import type { RunSnapshot } from "../../../src/rules/model.ts";
import { CLEARED } from "../../../src/rules/suspicion.ts";
import type { ApiThrottle, Fence, Log } from "../../../src/watchdog/ports.ts";
import type {
  DeferWrite,
  EpochRequest,
  Horizon,
  Leadership,
  Leaving,
  StaleQuery,
  TerminalWrite,
} from "../../../src/watchdog/store-ports.ts";

export interface TestStores extends AsyncDisposable {
  readonly database: Database;
  readonly store: PostgresRunStore;
  readonly leadership: PostgresLeadership;
  readonly journal: PostgresJournal;
  readonly fleet: PostgresFleet;
  readonly reader: PostgresJournalReader;
  /** Every message that was logged, in order. */
  readonly logged: readonly string[];
}

/** Small pools: a test that needs more says so. */
export function openStores(
  connection: ConnectionOptions,
  options: Partial<PoolOptions> = {},
  access: Access = "write",
): TestStores {
  const logged: string[] = [];
  const note = (_: object, message: string) => void logged.push(message);
  const log: Log = { debug: note, info: note, warn: note, error: note };
  const database = new Database(
    { endpoint: () => connection, size: 4, pooler: "auto", ...options },
    log,
    access,
  );
  return {
    database,
    store: new PostgresRunStore(database),
    leadership: new PostgresLeadership(database),
    journal: new PostgresJournal(database),
    fleet: new PostgresFleet(database),
    reader: new PostgresJournalReader(database),
    logged,
    [Symbol.asyncDispose]: () => database.close(1000),
  };
}

export const DAY_MS = 86_400_000;
const INTERVAL_MS = 60_000;

/** The database's clock, as a sweep takes it. */
export async function queryNow(stores: TestStores): Promise<StaleQuery> {
  return queryAt(await stores.leadership.horizon());
}

export function queryAt(horizon: Horizon): StaleQuery {
  return { horizon, nullDeadlineAfterMs: DAY_MS, includeSuspected: false };
}

/** A horizon of the test's choice, as text with microseconds. */
export function horizonAt(text: string): StaleQuery {
  return queryAt({ text, ms: Date.parse(text) });
}

export function epochRequest(changes: Partial<EpochRequest> = {}): EpochRequest {
  return {
    shard: 0,
    fencesAll: false,
    shards: 1,
    holder: "host/1/ab12",
    leaseValue: `host/1/ab12/${randomBytes(4).toString("hex")}`,
    leaseKind: "redis",
    trigger: "cron",
    full: true,
    intervalMs: INTERVAL_MS,
    otherKindAfterMs: 2 * INTERVAL_MS,
    ...changes,
  };
}

/** An API that asks for nothing. */
export const FREELY: ApiThrottle = { pausedForMs: 0, concurrency: null };

export const noCheck = (): void => undefined;

/** An epoch of our own, and a lease that nobody takes away; of a shard of a fleet that divides the runs. */
export async function takeEpoch(
  { leadership }: { readonly leadership: Leadership },
  { index: shard, count: shards }: Shard = WHOLE,
): Promise<Fence> {
  const request = epochRequest({ trigger: "once", shard, shards });
  const answer = await leadership.begin(request, noCheck);
  if (answer.kind !== "begun") throw new Error(`no epoch: ${answer.kind}`);
  return { shard, epoch: answer.epoch, check: noCheck };
}

/** A worker that stops in order. */
export function leaving(epoch: number, changes: Partial<Leaving> = {}): Leaving {
  return { epoch, holder: HOLDER, shards: 1, othersWithinMs: INTERVAL_MS, ...changes };
}

export async function readRun(stores: TestStores, runId: string): Promise<RunSnapshot> {
  const run = await stores.store.read(runId, await queryNow(stores));
  if (run === null) throw new Error(`there is no run ${runId}`);
  return run;
}

export const HOLDER = "host/1/ab12";

export function completing(run: RunSnapshot, changes: Partial<TerminalWrite> = {}): TerminalWrite {
  return {
    run,
    verdict: { kind: "complete", basis: "proof", reason: "exit_code=0" },
    evidence: { kind: "exited", exit_code: 0 },
    holder: HOLDER,
    trigger: "cron",
    cleanupInMs: 0,
    deletionInMs: null,
    overrideReason: null,
    ...changes,
  };
}

export function failing(run: RunSnapshot, changes: Partial<TerminalWrite> = {}): TerminalWrite {
  return completing(run, {
    verdict: {
      kind: "fail",
      basis: "presumption",
      reason: "sandbox gone",
      errorDetail: "Timed out: Sandbox not available",
      statusDetail: '{"phase":"verification"}',
      needsConfirmation: true,
    },
    evidence: { kind: "gone", reason: "no-record" },
    ...changes,
  });
}

export function deferring(run: RunSnapshot, changes: Partial<DeferWrite> = {}): DeferWrite {
  return {
    run,
    deferMs: 45_000,
    shieldMs: 0,
    notAfterMs: null,
    statusDetail: null,
    suspicion: CLEARED,
    ...changes,
  };
}

/** Everything in the host's two tables and in our own four: to show that nothing was written. */
export async function everything(sql: Sql): Promise<unknown> {
  const [state] = await sql`
    SELECT (SELECT json_agg(r ORDER BY r.id) FROM automation_runs r) AS runs,
           (SELECT json_agg(a ORDER BY a.id) FROM automations a) AS automations,
           (SELECT json_agg(v ORDER BY v.id) FROM watchdog.verdicts v) AS verdicts,
           (SELECT json_agg(s ORDER BY s.run_id) FROM watchdog.suspicions s) AS suspicions,
           (SELECT json_agg(l) FROM watchdog.leadership l) AS leadership,
           (SELECT json_agg(s ORDER BY s.shard) FROM watchdog.shards s) AS shards`;
  return state;
}
