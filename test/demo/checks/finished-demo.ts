/** For tests of the checks: a demo at its end. */
import type { Sql } from "postgres";
import { completeRun } from "../../fake-host/callback.ts";
import type { FakeHost } from "../../fake-host/fake-host.ts";
import { type RunSeed, seedRun } from "../../fake-host/seed.ts";
import { TIMING } from "../scenario/environment.ts";
import type { HostWrite } from "../scenario/host-script.ts";
import type { ExpectedEnd, KindName } from "../scenario/run-kinds.ts";
import type { DemoRun } from "../scenario/runs.ts";
import { type CheckFacts, checkAll } from "./checks.ts";

const COMPLETED: ExpectedEnd = { kind: "verdict", status: "COMPLETED", basis: "proof" };
const PRESUMED: ExpectedEnd = { kind: "verdict", status: "FAILED", basis: "presumption" };

/** All verdicts are of this moment, and the guard was overridden right then. */
export const DECIDED_MS = 1_790_000_000_000;
export const REASON = "the test stopped them";
const APART_MS = TIMING.deferS * 1000;

interface Entry {
  readonly outcome: string;
  readonly basis: string;
  readonly cleanup: string;
  readonly overrideReason?: string;
}

export type FinishedDemo = Awaited<ReturnType<typeof finishedDemo>>;

/** With a few runs, and nothing for the checks to find. */
export async function finishedDemo(sql: Sql, host: FakeHost) {
  const lookupTimes = new Map<string, readonly number[]>();

  async function add(kind: KindName, expectedEnd: ExpectedEnd, seed: RunSeed): Promise<DemoRun> {
    const run = await seedRun(sql, seed);
    const rest = { unanswered: false, automation: {}, shared: false, seed, sandbox: () => ({}) };
    return { kind, expectedEnd, ...rest, ...run };
  }

  function addSandbox({ sandboxId, userId, orgId }: DemoRun): void {
    if (sandboxId !== null) host.addSandbox({ id: sandboxId, userId, orgId });
  }

  async function journal(run: DemoRun, entry: Entry): Promise<void> {
    const { outcome, basis, cleanup, overrideReason = null } = entry;
    await sql`
      INSERT INTO watchdog.verdicts
        (run_id, automation_id, epoch, holder, trigger, decided_at, outcome, basis, reason,
         evidence, sandbox_id, cleanup_state, first_run_state, override_reason)
      VALUES (${run.id}, ${run.automationId}, 1, 'h/1/a', 'cron',
              to_timestamp(${DECIDED_MS / 1000}::float8), ${outcome}, ${basis}, 'r', '{}',
              ${run.sandboxId}, ${cleanup}, 'none', ${overrideReason})`;
  }

  async function completedAt({ id }: DemoRun, atMs: number): Promise<void> {
    await sql`
      UPDATE automation_runs SET completed_at = to_timestamp(${atMs / 1000}::float8)
      WHERE id = ${id}`;
  }

  function lookedUp({ sandboxId }: DemoRun, ...times: readonly number[]): void {
    lookupTimes.set(sandboxId ?? "", times);
  }

  /** Has its verdict, and its sandbox is gone. */
  async function proven(kind: KindName, seed: RunSeed): Promise<DemoRun> {
    const one = await add(kind, COMPLETED, { status: "COMPLETED", ...seed });
    await journal(one, { outcome: "COMPLETED", basis: "proof", cleanup: "done" });
    return one;
  }

  /** Has its verdict after two lookups, and its sandbox is still there. */
  async function presumed(kind: KindName, overrideReason?: string): Promise<DemoRun> {
    const one = await add(kind, PRESUMED, { status: "FAILED" });
    const entry = { outcome: "FAILED", basis: "presumption", cleanup: "pending" };
    await journal(one, overrideReason === undefined ? entry : { ...entry, overrideReason });
    await completedAt(one, DECIDED_MS);
    lookedUp(one, DECIDED_MS - APART_MS, DECIDED_MS);
    addSandbox(one);
    return one;
  }

  async function callback(run: DemoRun): Promise<HostWrite> {
    const completion = { runId: run.id, status: "COMPLETED", conversationId: "c1" } as const;
    const answer = await completeRun(sql, completion);
    return { run, status: "COMPLETED", conversationId: "c1", answer, tookMs: 1 };
  }

  const template = { presetMetadata: { template: {}, first_run: { status: "success" } } };
  const runs = {
    finished: await proven("finished", {}),
    template: await proven("template", { automation: template }),
    missing: await presumed("missing or paused"),
    living: await add("running", { kind: "none" }, {}),
    called: await add("callback", { kind: "host" }, {}),
  };
  const stopped = await presumed("stopped", REASON);
  addSandbox(runs.living);
  addSandbox(runs.called);
  const writes = [await callback(runs.called)];

  return {
    ...runs,
    stopped,
    addSandbox,
    journal,
    completedAt,
    lookedUp,
    /** The texts of the checks that fail. */
    async failures(changes: Partial<CheckFacts> = {}): Promise<readonly string[]> {
      const checks = await checkAll({
        sql,
        host,
        runs: Object.values(runs),
        writes,
        locks: { samples: 9, idleInTransaction: 0, blockedWriters: 0 },
        massStop: { runs: [stopped], reason: REASON, overriddenAtMs: DECIDED_MS },
        lookupTimes: { of: (sandboxId) => lookupTimes.get(sandboxId) ?? [] },
        ...changes,
      });
      return checks.filter(({ ok }) => !ok).map(({ text }) => text);
    },
  };
}
