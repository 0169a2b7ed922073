/** One case of the host's own watchdog: a run that has been due for a minute, swept once, and what became of it. */
import type { BashOutput, Reply, Sandbox } from "../../fake-host/model.ts";
import type { RunSeed, SeededRun } from "../../fake-host/seed.ts";
import { createWorld, randomCommandId, type World } from "./world.ts";

export interface HostSetup {
  readonly run?: RunSeed;
  readonly sandbox?: Partial<Sandbox>;
  /** What the run's own command has left behind. */
  readonly output?: Omit<BashOutput, "commandId">;
  /** What is answered instead, by the kind of question. */
  readonly answers?: Readonly<Record<string, Reply>>;
  readonly env?: Readonly<Record<string, string>>;
  /** Before the sweep. */
  readonly before?: (run: SeededRun) => PromiseLike<unknown>;
  /** While the run's command is searched for. */
  readonly during?: (run: SeededRun) => PromiseLike<unknown>;
}

export interface HostCase extends HostSetup {
  readonly name: string;
  readonly expected: object;
}

/** A run that was swept. */
export interface SweptRun extends SeededRun {
  /** Its deadline before the sweep, as text. */
  readonly dueAt: string | null;
}

export interface Observed {
  readonly status: string;
  readonly errorDetail: string | null;
  /** `json null` for what the host writes to clear it, `null` for SQL NULL. */
  readonly statusDetail: object | "json null" | null;
  readonly completed: boolean;
  readonly deadline: "kept" | "ahead" | "elsewhere";
  /** When the worker itself looks again: the deadline that others see may be later. */
  readonly nextLook: "within a minute" | "later";
  readonly firstRun: object | null;
  readonly columns: Readonly<Record<string, unknown>>;
  /** How often each was asked for. */
  readonly deletions: number;
  readonly pauses: number;
}

const MINUTE_MS = 60_000;
/** The rest of what a presumption waits for is open in every world. */
const NO_DELAY = { WATCHDOG_CLEANUP_DELAY: "0s" };

export async function runCase(setup: HostSetup): Promise<Observed> {
  await using world = await createWorld();
  return await observe(world, await runCaseIn(world, setup));
}

export async function runCaseIn(world: World, setup: HostSetup): Promise<SweptRun> {
  const { automation, bashCommandId = randomCommandId(), ...columns } = setup.run ?? {};
  const seeded = await world.seed(
    {
      startedAgoMs: 5 * MINUTE_MS,
      overdueMs: MINUTE_MS + 1000,
      automation: { timeoutS: 60, ...automation },
      ...columns,
      bashCommandId,
    },
    {
      ...(setup.output && { outputs: [{ ...setup.output, commandId: bashCommandId ?? "" }] }),
      ...setup.sandbox,
    },
  );
  const run = { ...seeded, dueAt: (await world.row(seeded.id)).timeout_at };
  await setup.before?.(run);
  world.host.intercept(async ({ kind }) => {
    if (kind === "events") await setup.during?.(run);
    return setup.answers?.[kind];
  });
  await world.sweep({ env: { ...NO_DELAY, ...setup.env } });
  return run;
}

/** The run as it is now, and what was asked about its sandbox. */
export async function observe(
  { database: { sql }, host }: World,
  run: SweptRun,
): Promise<Observed> {
  const [row] = await sql<Omit<Observed, "deletions" | "pauses">[]>`
    SELECT r.status, r.error_detail AS "errorDetail", r.completed_at IS NOT NULL AS completed,
      CASE r.status_detail::text WHEN 'null' THEN to_json('json null'::text)
                                 ELSE r.status_detail END AS "statusDetail",
      CASE WHEN r.timeout_at IS NOT DISTINCT FROM ${run.dueAt}::text::timestamptz THEN 'kept'
           WHEN r.timeout_at > now() THEN 'ahead' ELSE 'elsewhere' END AS deadline,
      CASE WHEN coalesce(p.look_at, r.timeout_at) <= now() + interval '1 minute'
           THEN 'within a minute' ELSE 'later' END AS "nextLook",
      a.preset_metadata->'first_run' AS "firstRun", row_to_json(r) AS columns
    FROM automation_runs r JOIN automations a ON a.id = r.automation_id
    LEFT JOIN watchdog.suspicions p ON p.run_id = r.id
    WHERE r.id = ${run.id}`;
  if (row === undefined) throw new Error(`there is no run ${run.id}`);
  const path = `/api/v1/sandboxes/${run.sandboxId}`;
  const times = (method: string, asked: string) =>
    host.requests.filter((each) => each.method === method && each.path === asked).length;
  return { ...row, deletions: times("DELETE", path), pauses: times("POST", `${path}/pause`) };
}
