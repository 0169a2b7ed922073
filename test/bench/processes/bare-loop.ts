/**
 * What a worker can be compared with: a loop around the same questions with nothing else in it. No lease, no guard, no
 * deadlines, no checks; whatever goes wrong ends it. It reads a run, asks about it, and ends it, so many at once.
 *
 * `same` sends the statements of the worker itself, with its fence and its journal; `plain` what somebody would write
 * who needs neither. Prints what it took when all is done.
 */
import process from "node:process";
import postgres, { type Sql } from "postgres";
import { Agent, type Dispatcher } from "undici";
import type { Statement, Values } from "../../../src/io/postgres/connection/statement.ts";
import { Database } from "../../../src/io/postgres/database.ts";
import { APPLY, applyParams } from "../../../src/io/postgres/runs/apply.ts";
import { READ } from "../../../src/io/postgres/runs/snapshots.ts";
import { summarise } from "../../../src/rules/evidence.ts";
import type { RunSnapshot } from "../../../src/rules/model.ts";
import { connectionOptions } from "../../services/postgres/server-databases.ts";
import type { Mode } from "./backend.ts";
import { argumentOf } from "./child.ts";

export interface BareLoop {
  readonly databaseUrl: string;
  readonly backendUrl: string;
  readonly mode: Mode;
  readonly statements: "same" | "plain";
  /** Runs. */
  readonly atOnce: number;
  readonly connections: number;
}

export interface BareCost {
  readonly runs: number;
  readonly wallMs: number;
  readonly cpuMs: number;
}

interface Run
  extends Pick<RunSnapshot, "id" | "userId" | "orgId" | "sandboxId" | "bashCommandId"> {}

interface Steps<T extends Run> {
  read(id: string): Promise<T>;
  end(run: T): Promise<void>;
}

await main(argumentOf<BareLoop>());

async function main(loop: BareLoop): Promise<void> {
  const sql = postgres(loop.databaseUrl, { max: loop.connections, fetch_types: false });
  const ask = asking(loop);
  const cost =
    loop.statements === "same"
      ? await run(loop, sql, ask, await sameSteps(sql, loop.databaseUrl))
      : await run(loop, sql, ask, plainSteps(sql));
  await sql.end();
  process.stdout.write(`${JSON.stringify(cost)}\n`);
  process.exit();
}

async function run<T extends Run>(
  { atOnce }: BareLoop,
  sql: Sql,
  ask: (run: Run) => Promise<void>,
  steps: Steps<T>,
): Promise<BareCost> {
  const startedMs = performance.now();
  const before = process.cpuUsage();
  const ids = await sql<{ readonly id: string }[]>`
    SELECT id FROM automation_runs WHERE status = 'RUNNING' AND timeout_at < now() ORDER BY timeout_at, id`;
  const left = ids.values();
  const slot = async () => {
    for (const { id } of left) {
      const found = await steps.read(id);
      await ask(found);
      await steps.end(found);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, slot));
  const { user, system } = process.cpuUsage(before);
  const wallMs = performance.now() - startedMs;
  return { runs: ids.length, wallMs, cpuMs: (user + system) / 1000 };
}

async function sameSteps(sql: Sql, databaseUrl: string): Promise<Steps<RunSnapshot>> {
  const columns = await columnsOf(databaseUrl);
  const read = READ(columns);
  const apply = APPLY({ shard: 0 })({ isRemembered: false })(columns);
  const [row] = await sql<{ readonly epoch: number; readonly horizon: string }[]>`
    SELECT epoch::int, now()::text AS horizon FROM watchdog.leadership`;
  if (row === undefined) throw new Error("the leadership row is missing");
  const { epoch, horizon } = row;
  const query = { horizon, nullDeadlineAfterMs: 86_400_000, includeSuspected: false };
  const evidence = summarise({ kind: "exited", exitCode: 0, stdout: "done\n", stderr: "" });
  return {
    async read(id) {
      const [found] = await send(sql, read, { ...query, ids: `{${id}}` });
      if (found === undefined || found.id === null) throw new Error(`run ${id} is gone`);
      return found;
    },
    async end(run) {
      const verdict = { kind: "complete", basis: "proof", reason: "exit-code" } as const;
      const write = { run, verdict, evidence, holder: "bare-loop", trigger: "once" } as const;
      const cleanup = { cleanupInMs: null, deletionInMs: null, overrideReason: null };
      const params = applyParams({ ...write, ...cleanup }, { epoch, shard: 0 });
      const rows = await send(sql, apply, params);
      if (rows.length !== 1) throw new Error(`run ${run.id} was not written`);
    },
  };
}

/** The worker looks at the tables before it builds its statements. */
async function columnsOf(databaseUrl: string) {
  const endpoint = () => connectionOptions(new URL(databaseUrl));
  const silent = () => {};
  const log = { debug: silent, info: silent, warn: silent, error: silent };
  const database = new Database({ endpoint, size: 1, pooler: "off" }, log);
  const columns = await database.columns();
  await database.close(1000);
  return columns;
}

async function send<P extends Values<P>, Row extends object>(
  sql: Sql,
  { text, names }: Statement<P, Row>,
  params: P,
): Promise<readonly Row[]> {
  return await sql.unsafe<Row[]>(
    text,
    names.map((name) => params[name]),
    { prepare: true },
  );
}

interface PlainRun extends Run {
  readonly timeoutAt: string;
}

function plainSteps(sql: Sql): Steps<PlainRun> {
  return {
    async read(id) {
      const [found] = await sql<PlainRun[]>`
        SELECT run.id, run.timeout_at::text AS "timeoutAt", run.sandbox_id AS "sandboxId",
          run.bash_command_id AS "bashCommandId", user_id AS "userId", org_id AS "orgId"
        FROM automation_runs run JOIN automations ON automations.id = run.automation_id
        WHERE run.id = ${id} AND run.status = 'RUNNING'`;
      if (found === undefined) throw new Error(`run ${id} is gone`);
      return found;
    },
    async end({ id, timeoutAt }) {
      const { count } = await sql`
        UPDATE automation_runs SET status = 'COMPLETED', completed_at = now()
        WHERE id = ${id} AND status = 'RUNNING' AND timeout_at = ${timeoutAt}::text::timestamptz`;
      if (count !== 1) throw new Error(`run ${id} was not written`);
    },
  };
}

interface Sandbox {
  readonly session_api_key: string;
  readonly exposed_urls: readonly { readonly url: string }[];
}

interface Events {
  readonly items: readonly { readonly exit_code: number | null }[];
}

/** The questions that a worker asks about a run whose command has exited. */
function asking({ mode, backendUrl }: BareLoop): (run: Run) => Promise<void> {
  const agent = new Agent({ allowH2: false });
  const keys = new Map<string, Promise<string>>();
  const get = <T>(path: string, headers: Readonly<Record<string, string>> = {}) =>
    request<T>(agent, { origin: backendUrl, path, method: "GET", headers });

  async function askHttp({ id }: Run): Promise<void> {
    const answer = await get<{ readonly state: string }>(`/verify/${id}`);
    if (answer.state !== "succeeded") throw new Error(`run ${id} is ${answer.state}`);
  }

  async function askCloud(run: Run): Promise<void> {
    const { userId, orgId, sandboxId, bashCommandId } = run;
    const owner = `/api/service/users/${userId}/orgs/${orgId}/api-keys`;
    const minting = keys.get(owner) ?? mint(agent, backendUrl, owner);
    keys.set(owner, minting);
    const authorization = `Bearer ${await minting}`;
    const lookup = `/api/v1/sandboxes?id=${sandboxId}`;
    const [sandbox] = await get<readonly Sandbox[]>(lookup, { authorization });
    const [exposed] = sandbox?.exposed_urls ?? [];
    if (sandbox === undefined || exposed === undefined) throw new Error(`no sandbox ${sandboxId}`);
    const agentPath = new URL(exposed.url).pathname;
    const search = `kind__eq=BashOutput&command_id__eq=${bashCommandId}&sort_order=TIMESTAMP_DESC&limit=1`;
    const key = { "x-session-api-key": sandbox.session_api_key };
    const events = `${agentPath}/api/bash/bash_events/search?${search}`;
    const { items } = await get<Events>(events, key);
    if (items[0]?.exit_code !== 0) throw new Error(`run ${run.id} has not exited`);
  }

  return mode === "http" ? askHttp : askCloud;
}

async function mint(agent: Agent, origin: string, path: string): Promise<string> {
  const headers = { "x-service-api-key": "service-key", "content-type": "application/json" };
  const body = JSON.stringify({ name: "automation" });
  const call = { origin, path, method: "POST", headers, body } as const;
  return (await request<{ readonly key: string }>(agent, call)).key;
}

async function request<T>(agent: Agent, options: Dispatcher.RequestOptions): Promise<T> {
  const { statusCode, body } = await agent.request(options);
  if (statusCode !== 200) throw new Error(`${options.path} answered ${statusCode}`);
  return JSON.parse(await body.text());
}
