/** Rows in the host's tables, with everything one does not care about filled in. */
import { randomBytes, randomUUID } from "node:crypto";
import type { Sql } from "postgres";

export interface AutomationSeed {
  readonly id?: string;
  readonly userId?: string;
  readonly orgId?: string;
  readonly name?: string;
  /** Seconds; `null` means the service's default. */
  readonly timeoutS?: number | null;
  readonly keepAlive?: boolean | null;
  /** Stored as JSON. */
  readonly presetMetadata?: unknown;
}

export interface SeededAutomation {
  readonly id: string;
  readonly userId: string;
  readonly orgId: string;
}

export interface RunSeed {
  readonly id?: string;
  /** An automation that is there already; without it the run gets one of its own. */
  readonly of?: SeededAutomation;
  readonly automation?: AutomationSeed;
  readonly status?: string;
  /** Default: random. */
  readonly sandboxId?: string | null;
  /** Default: random. */
  readonly bashCommandId?: string | null;
  /** How long ago the run was created; default: when it started. */
  readonly createdAgoMs?: number;
  /** How long ago it started; default 15 min, `null`: it has not. */
  readonly startedAgoMs?: number | null;
  /** How long the deadline lies back by the database's clock; negative: it is to come. Default 1 min. */
  readonly overdueMs?: number;
  /** The deadline itself, as text with microseconds; wins over `overdueMs`. `null`: none. */
  readonly timeoutAt?: string | null;
  readonly completedAgoMs?: number | null;
  readonly errorDetail?: string | null;
  /** Stored as JSON; left out: SQL NULL. */
  readonly statusDetail?: unknown;
  readonly conversationId?: string | null;
}

export interface SeededRun {
  readonly id: string;
  readonly automationId: string;
  readonly userId: string;
  readonly orgId: string;
  readonly sandboxId: string | null;
  readonly bashCommandId: string | null;
}

const STARTED_AGO_MS = 900_000;
const OVERDUE_MS = 60_000;

export async function seedAutomation(
  sql: Sql,
  seed: AutomationSeed = {},
): Promise<SeededAutomation> {
  const { automation, row } = completeAutomation(seed);
  await insertAutomations(sql, [row]);
  return automation;
}

export async function seedRun(sql: Sql, seed: RunSeed = {}): Promise<SeededRun> {
  const [run] = await seedRuns(sql, [seed]);
  if (run === undefined) throw new Error("no run was inserted");
  return run;
}

/** Two statements, however many runs there are. */
export async function seedRuns(sql: Sql, seeds: readonly RunSeed[]): Promise<readonly SeededRun[]> {
  const automations: object[] = [];
  const rows: object[] = [];
  const runs = seeds.map((seed) => {
    let owner = seed.of;
    if (owner === undefined) {
      const { automation, row } = completeAutomation(seed.automation ?? {});
      automations.push(row);
      owner = automation;
    }
    const { run, row } = completeRunSeed(seed, owner);
    rows.push(row);
    return run;
  });
  await insertAutomations(sql, automations);
  await insertRuns(sql, rows);
  return runs;
}

function completeAutomation(seed: AutomationSeed) {
  const { id = randomUUID(), userId = randomUUID(), orgId = randomUUID() } = seed;
  const row = {
    id,
    user_id: userId,
    org_id: orgId,
    name: seed.name ?? `automation ${id.slice(0, 8)}`,
    timeout: seed.timeoutS ?? null,
    keep_alive: seed.keepAlive ?? null,
    preset_metadata: jsonText(seed.presetMetadata),
  };
  return { automation: { id, userId, orgId }, row };
}

function completeRunSeed(seed: RunSeed, owner: SeededAutomation) {
  const {
    id = randomUUID(),
    sandboxId = randomBytes(11).toString("hex"),
    bashCommandId = randomBytes(16).toString("hex"),
    startedAgoMs = STARTED_AGO_MS,
  } = seed;
  const row = {
    id,
    automation_id: owner.id,
    status: seed.status ?? "RUNNING",
    error_detail: seed.errorDetail ?? null,
    created_ago: (seed.createdAgoMs ?? startedAgoMs ?? STARTED_AGO_MS) / 1000,
    started_ago: seconds(startedAgoMs),
    completed_ago: seconds(seed.completedAgoMs ?? null),
    overdue: (seed.overdueMs ?? OVERDUE_MS) / 1000,
    timeout_at: seed.timeoutAt ?? null,
    no_timeout: seed.timeoutAt === null,
    conversation_id: seed.conversationId ?? null,
    sandbox_id: sandboxId,
    bash_command_id: bashCommandId,
    status_detail: jsonText(seed.statusDetail),
  };
  const { id: automationId, userId, orgId } = owner;
  return { run: { id, automationId, userId, orgId, sandboxId, bashCommandId }, row };
}

async function insertAutomations(sql: Sql, rows: readonly object[]): Promise<void> {
  if (rows.length === 0) return;
  await sql`
    INSERT INTO automations
      (id, user_id, org_id, name, trigger, tarball_path, entrypoint, timeout, keep_alive, preset_metadata)
    SELECT id, user_id, org_id, name, '{"type":"cron","schedule":"0 * * * *"}'::json,
           'automations/' || id || '.tar.gz', 'python main.py', timeout, keep_alive, preset_metadata::json
    FROM json_to_recordset(${JSON.stringify(rows)}::text::json) AS seed (
      id uuid, user_id uuid, org_id uuid, name text, timeout int, keep_alive boolean,
      preset_metadata text)`;
}

async function insertRuns(sql: Sql, rows: readonly object[]): Promise<void> {
  if (rows.length === 0) return;
  await sql`
    INSERT INTO automation_runs
      (id, automation_id, status, error_detail, created_at, started_at, completed_at,
       conversation_id, timeout_at, sandbox_id, bash_command_id, status_detail)
    SELECT id, automation_id, status, error_detail,
           now() - created_ago * interval '1 second', now() - started_ago * interval '1 second',
           now() - completed_ago * interval '1 second', conversation_id,
           CASE WHEN no_timeout THEN NULL
                ELSE coalesce(timeout_at::timestamptz, now() - overdue * interval '1 second') END,
           sandbox_id, bash_command_id, status_detail::json
    FROM json_to_recordset(${JSON.stringify(rows)}::text::json) AS seed (
      id uuid, automation_id uuid, status text, error_detail text, created_ago float8,
      started_ago float8, completed_ago float8, overdue float8, timeout_at text, no_timeout boolean,
      conversation_id text, sandbox_id text, bash_command_id text, status_detail text)`;
}

function seconds(ms: number | null): number | null {
  return ms === null ? null : ms / 1000;
}

/** As text, so that what a JSON column may hold and a text column may not survives the way. */
function jsonText(value: unknown): string | null {
  return value === undefined ? null : JSON.stringify(value);
}
