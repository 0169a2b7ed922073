/**
 * The verdict table over real HTTP and a real database: many runs are seeded, swept once, and then looked at one by one.
 * What is expected of a run is written out to the letter; only times are left open, and checked for themselves.
 */
import { beforeAll, describe, expect, it } from "vitest";
import type { SweepReport } from "../../../src/rules/report.ts";
import type { FakeHost } from "../../fake-host/fake-host.ts";
import type { BashOutput, Reply, Sandbox, SeenRequest } from "../../fake-host/fake-host-model.ts";
import { type RunSeed, type SeededRun, seedRuns } from "../../fake-host/seed.ts";
import { AT, type Expected } from "./verdict-expected.ts";
import { commandsOf, createWorld, randomCommandId, SHIELD_S, type World } from "./world.ts";

export type Answer =
  | Reply
  | ((request: SeenRequest, nth: number, host: FakeHost) => Reply | undefined);

export interface VerdictCase {
  /** Starts with what the run meets; is the test's name. */
  readonly name: string;
  readonly run?: RunSeed;
  /** `null`: the host has no such sandbox. Default: one that runs and knows the run's command. */
  readonly sandbox?: Partial<Sandbox> | null;
  /** What the run's own command has left behind. */
  readonly output?: Omit<BashOutput, "commandId">;
  /** What is answered instead, by the kind of question; `nth` counts this run's questions of that kind from 1. */
  readonly answers?: Readonly<Record<string, Answer>>;
  readonly expected: Expected;
}

export interface TableOptions {
  readonly env?: (host: FakeHost) => Readonly<Record<string, string>>;
  /** One sandbox that holds the outputs of all runs, in the place of theirs. */
  readonly shared?: Partial<Sandbox>;
  /** For cases that do not answer that kind of question themselves. */
  readonly answers?: Readonly<Record<string, Answer>>;
}

/** A suite with one test for each case. */
export function verdictTable(
  title: string,
  cases: readonly VerdictCase[],
  options: TableOptions = {},
): void {
  describe(title, () => {
    let observed: ReadonlyMap<string, Observation>;
    let report: SweepReport;

    beforeAll(async () => {
      await using world = await createWorld();
      ({ observed, report } = await observe(world, cases, options));
    });

    for (const { name, expected } of cases) {
      it(name, () => {
        expect(observed.get(name)).toEqual({ ...expected, timely: true, scoped: true });
      });
    }

    it(`counts each run of ${title} once, under its action`, () => {
      const { stale, completed, failed, deferred, undetermined } = report.counts;
      const expected = (action: string) =>
        cases.filter(({ expected }) => expected.action === action).length;
      expect({ stale, completed, failed, deferred, undetermined }).toEqual({
        stale: cases.length,
        completed: expected("completed"),
        failed: expected("failed"),
        deferred: expected("deferred"),
        undetermined: expected("undetermined"),
      });
    });
  });
}

interface Observation extends Expected {
  /** Whether all times lie within the sweep. */
  readonly timely: boolean;
  /** Whether every search named the run's own command. */
  readonly scoped: boolean;
}

async function observe(world: World, cases: readonly VerdictCase[], options: TableOptions) {
  const runs = await seed(world, cases, options);
  const answers = cases.map((each) => ({ ...options.answers, ...each.answers }));
  const asked = answerFor(world.host, answers, runs);
  const before = await snapshot(world, "now()::text");
  const report = await world.sweep({ env: options.env?.(world.host) ?? {} });
  const after = await snapshot(world, before.now);
  const observed = new Map<string, Observation>();
  for (const [index, { name }] of cases.entries()) {
    const id = runs[index]?.id ?? "";
    const requests = asked.get(id) ?? [];
    observed.set(name, observation(id, requests, before.rows, after.rows, report));
  }
  return { observed, report };
}

async function seed(
  world: World,
  cases: readonly VerdictCase[],
  { shared }: TableOptions,
): Promise<readonly SeededRun[]> {
  const commandIds = cases.map(({ run }) =>
    run?.bashCommandId === undefined ? randomCommandId() : run.bashCommandId,
  );
  const seeds = cases.map(({ run }, at) => ({ ...run, bashCommandId: commandIds[at] ?? null }));
  const runs = await seedRuns(world.database.sql, seeds);
  const outputs = cases.map(({ output }, at) =>
    output === undefined ? [] : [{ ...output, commandId: commandIds[at] ?? "" }],
  );
  const commands = runs.map(commandsOf);
  if (shared !== undefined) {
    world.host.addSandbox({ commands: commands.flat(), outputs: outputs.flat(), ...shared });
  }
  for (const [at, { sandbox }] of cases.entries()) {
    const { sandboxId, userId, orgId } = runs[at] ?? {};
    if (shared !== undefined || !sandboxId || !userId || !orgId || sandbox === null) continue;
    const own = { id: sandboxId, userId, orgId };
    const left = { commands: commands[at] ?? [], outputs: outputs[at] ?? [] };
    world.host.addSandbox({ ...own, ...left, ...sandbox });
  }
  return runs;
}

/** Puts the cases' answers in place and records who was asked what. */
function answerFor(
  host: FakeHost,
  answers: readonly Readonly<Record<string, Answer>>[],
  runs: readonly SeededRun[],
) {
  const asked = new Map<string, SeenRequest[]>();
  host.intercept((request) => {
    const index = runs.findIndex((run) => isAbout(request, run));
    const id = runs[index]?.id ?? "nobody";
    const requests = [...(asked.get(id) ?? []), request];
    asked.set(id, requests);
    const answer = answers[index]?.[labelOf(request)];
    if (typeof answer !== "function") return answer;
    const nth = requests.filter((each) => labelOf(each) === labelOf(request)).length;
    return answer(request, nth, host);
  });
  return asked;
}

function isAbout({ path, query }: SeenRequest, run: SeededRun): boolean {
  const text = decodeURIComponent(`${path} ${query.get("id")} ${query.get("command_id__eq")}`);
  const { id, sandboxId, bashCommandId, userId } = run;
  return [id, sandboxId, bashCommandId, userId].some((each) => each && text.includes(each));
}

function labelOf({ kind, path }: SeenRequest): string {
  return kind === "other" ? (path.split("/")[1] ?? "") : kind;
}

interface StoredRun {
  readonly id: string;
  readonly columns: Readonly<Record<string, unknown>>;
  readonly detail: string | null;
  readonly timely: boolean;
  readonly deferred: boolean;
  readonly journal: Expected["journal"];
}

/** @param since text of a time, or an expression for it. */
async function snapshot({ database: { sql } }: World, since: string) {
  const from = since === "now()::text" ? sql`now()` : sql`${since}::text::timestamptz`;
  const stored = await sql<(Omit<StoredRun, "columns"> & { now: string; whole: string })[]>`
    SELECT r.id, now()::text AS now, row_to_json(r)::text AS whole, r.status_detail::text AS detail,
      coalesce(r.completed_at BETWEEN ${from} AND now(), true)
        AND coalesce((r.status_detail->>'last_seen_at')::timestamptz BETWEEN ${from} AND now(), true)
        AS timely,
      r.timeout_at - ${SHIELD_S}::float8 * interval '1 s'
        BETWEEN ${from} + interval '45 s' AND now() + interval '45 s' AS deferred,
      (SELECT json_build_object('verdict', concat_ws(', ', v.outcome, v.basis, v.reason),
                                'cleanup', v.cleanup_state)
       FROM watchdog.verdicts v
       WHERE v.run_id = r.id AND v.sandbox_id IS NOT DISTINCT FROM r.sandbox_id) AS journal
    FROM automation_runs r`;
  const rows = new Map(
    stored.map(({ whole, ...run }) => [run.id, { ...run, columns: JSON.parse(whole) }]),
  );
  return { now: stored[0]?.now ?? "", rows };
}

function observation(
  id: string,
  requests: readonly SeenRequest[],
  before: ReadonlyMap<string, StoredRun>,
  after: ReadonlyMap<string, StoredRun>,
  report: SweepReport,
): Observation {
  const was = before.get(id)?.columns ?? {};
  const run = after.get(id);
  const is = run?.columns ?? {};
  const changed = Object.keys(is).filter(
    (key) => key !== "status_detail" && !sameJson(is[key], was[key]),
  );
  const outcome = report.runs.find(({ runId }) => runId === id);
  return {
    action: outcome?.action ?? "none",
    basis: outcome?.basis ?? null,
    reason: outcome?.reason ?? "",
    status: String(is["status"]),
    errorDetail: asText(is["error_detail"]),
    statusDetail: withoutTimes(run?.detail ?? null),
    timeoutAt: timeoutAt(changed.includes("timeout_at"), run?.deferred === true),
    changed: changed.sort().join(" "),
    asked: requests.map(labelOf).join(" "),
    journal: run?.journal ?? null,
    timely: run?.timely === true,
    scoped: requests.every(
      ({ kind, query }) =>
        kind !== "events" || query.get("command_id__eq") === is["bash_command_id"],
    ),
  };
}

function timeoutAt(moved: boolean, deferred: boolean): Expected["timeoutAt"] {
  if (!moved) return "kept";
  return deferred ? "hidden, next look in 45 s" : "elsewhere";
}

function sameJson(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

function asText(value: unknown): string | null {
  return typeof value === "string" ? value : null;
}

/** A first entry: both times are the same, and written as Python writes them. */
function withoutTimes(detail: string | null): string | null {
  const times = /"first_seen_at":("[^"]+(?<!\.000000)\+00:00"),"last_seen_at":\1,/;
  return detail?.replace(times, `"first_seen_at":"${AT}","last_seen_at":"${AT}",`) ?? null;
}
