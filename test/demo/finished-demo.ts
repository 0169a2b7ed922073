import type { Sql } from "postgres";
import { completeRun } from "../fake-host/callback.ts";
import type { FakeHost } from "../fake-host/fake-host.ts";
import { type RunSeed, seedRun } from "../fake-host/seed.ts";
import { type AuditFacts, audit } from "./audit.ts";
import type { Player } from "./cast.ts";
import type { HostWrite } from "./directions.ts";
import type { Ending, RoleName } from "./roles.ts";
import { TIMING } from "./stage.ts";

const COMPLETED: Ending = { kind: "verdict", status: "COMPLETED", basis: "proof" };
const PRESUMED: Ending = { kind: "verdict", status: "FAILED", basis: "presumption" };

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

/** A demo at its end, with a few runs and no defects. */
export async function finishedDemo(sql: Sql, host: FakeHost) {
  const sightings = new Map<string, readonly number[]>();

  async function player(role: RoleName, ending: Ending, seed: RunSeed): Promise<Player> {
    const run = await seedRun(sql, seed);
    const rest = { held: false, automation: {}, shared: false, seed, sandbox: () => ({}) };
    return { role, ending, ...rest, run };
  }

  function addSandbox({ run: { sandboxId, userId, orgId } }: Player): void {
    if (sandboxId !== null) host.addSandbox({ id: sandboxId, userId, orgId });
  }

  async function journal({ run }: Player, entry: Entry): Promise<void> {
    const { outcome, basis, cleanup, overrideReason = null } = entry;
    await sql`
      INSERT INTO watchdog.verdicts
        (run_id, automation_id, epoch, holder, trigger, decided_at, outcome, basis, reason,
         evidence, sandbox_id, cleanup_state, first_run_state, override_reason)
      VALUES (${run.id}, ${run.automationId}, 1, 'h/1/a', 'cron',
              to_timestamp(${DECIDED_MS / 1000}::float8), ${outcome}, ${basis}, 'r', '{}',
              ${run.sandboxId}, ${cleanup}, 'none', ${overrideReason})`;
  }

  async function completedAt({ run }: Player, atMs: number): Promise<void> {
    await sql`
      UPDATE automation_runs SET completed_at = to_timestamp(${atMs / 1000}::float8)
      WHERE id = ${run.id}`;
  }

  function sighted({ run }: Player, ...times: readonly number[]): void {
    sightings.set(run.sandboxId ?? "", times);
  }

  /** Has its verdict, and its sandbox is gone. */
  async function proven(role: RoleName, seed: RunSeed): Promise<Player> {
    const one = await player(role, COMPLETED, { status: "COMPLETED", ...seed });
    await journal(one, { outcome: "COMPLETED", basis: "proof", cleanup: "done" });
    return one;
  }

  /** Has its verdict after two sightings, and its sandbox is still there. */
  async function presumed(role: RoleName, overrideReason?: string): Promise<Player> {
    const one = await player(role, PRESUMED, { status: "FAILED" });
    const entry = { outcome: "FAILED", basis: "presumption", cleanup: "pending" };
    await journal(one, overrideReason === undefined ? entry : { ...entry, overrideReason });
    await completedAt(one, DECIDED_MS);
    sighted(one, DECIDED_MS - APART_MS, DECIDED_MS);
    addSandbox(one);
    return one;
  }

  async function callback(by: Player): Promise<HostWrite> {
    const completion = { runId: by.run.id, status: "COMPLETED", conversationId: "c1" } as const;
    const answer = await completeRun(sql, completion);
    return { player: by, status: "COMPLETED", conversationId: "c1", answer, tookMs: 1 };
  }

  const template = { presetMetadata: { template: {}, first_run: { status: "success" } } };
  const players = {
    finished: await proven("finished", {}),
    template: await proven("template", { automation: template }),
    vanished: await presumed("vanished"),
    living: await player("running", { kind: "none" }, {}),
    called: await player("callback", { kind: "host" }, {}),
  };
  const stopped = await presumed("stopped", REASON);
  addSandbox(players.living);
  addSandbox(players.called);
  const writes = [await callback(players.called)];

  return {
    ...players,
    stopped,
    addSandbox,
    journal,
    completedAt,
    sighted,
    /** What is not as it should be, in the audit's words. */
    async defects(changes: Partial<AuditFacts> = {}): Promise<readonly string[]> {
      const checks = await audit({
        sql,
        host,
        players: Object.values(players),
        writes,
        locks: { samples: 9, idleInTransaction: 0, blockedWriters: 0 },
        mass: { players: [stopped], reason: REASON, overriddenAtMs: DECIDED_MS },
        sightings: { of: (sandboxId) => sightings.get(sandboxId) ?? [] },
        ...changes,
      });
      return checks.filter(({ ok }) => !ok).map(({ text }) => text);
    },
  };
}
