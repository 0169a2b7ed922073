/** Afterwards, from the database's own rows: did the watchdogs keep what they promise? */
import type { Sql } from "postgres";
import type { FakeHost } from "../fake-host/fake-host.ts";
import type { Player } from "./cast.ts";
import type { Check } from "./check.ts";
import type { HostWrite } from "./directions.ts";
import type { LockFigures } from "./lock-watch.ts";
import type { MassStop } from "./mass-stop.ts";
import type { Sightings } from "./sightings.ts";
import { TIMING } from "./stage.ts";

export interface AuditFacts {
  readonly sql: Sql;
  readonly host: FakeHost;
  readonly players: readonly Player[];
  readonly writes: readonly HostWrite[];
  readonly locks: LockFigures;
  readonly mass: MassStop;
  readonly sightings: Pick<Sightings, "of">;
}

export async function audit(facts: AuditFacts): Promise<readonly Check[]> {
  const { mass } = facts;
  const rows = await readRows(facts.sql);
  const players = [...facts.players, ...mass.players];
  return [
    firstWriterWins(facts.writes, rows),
    deadHaveVerdict(players, facts.writes, rows),
    livingAreLeftAlone(players, rows),
    presumptionsAreConfirmed(facts.sightings, rows),
    massIsHeld(mass, rows),
    massEndsByOverride(mass, rows),
    sandboxes(facts.host, players, rows),
    firstOutcomes(players, rows),
    noOpenTransaction(facts.locks),
    nobodyWaited(facts.locks),
  ];
}

interface Row {
  readonly id: string;
  readonly status: string;
  readonly conversation_id: string | null;
  /** Unix milliseconds. */
  readonly completed_at: number | null;
  readonly first_run: string | null;
  /** What the journal says, oldest first. */
  readonly verdicts: readonly JournalEntry[];
}

interface JournalEntry {
  readonly outcome: string;
  readonly basis: string;
  readonly cleanup: string;
  readonly sandbox: string | null;
  /** Unix milliseconds. */
  readonly decided: number;
  /** The reason of an override. */
  readonly override: string | null;
}

type Rows = ReadonlyMap<string, Row>;

async function readRows(sql: Sql): Promise<Rows> {
  const rows = await sql<(Omit<Row, "verdicts"> & { readonly verdicts: string })[]>`
    SELECT r.id, r.status, r.conversation_id,
           (extract(epoch FROM r.completed_at) * 1000)::float8 AS completed_at,
           a.preset_metadata #>> '{first_run,status}' AS first_run,
           coalesce((SELECT json_agg(json_build_object('outcome', v.outcome, 'basis', v.basis,
                                                       'cleanup', v.cleanup_state,
                                                       'sandbox', v.sandbox_id,
                                                       'decided', extract(epoch FROM v.decided_at) * 1000,
                                                       'override', v.override_reason) ORDER BY v.id)
                     FROM watchdog.verdicts v WHERE v.run_id = r.id), '[]')::text AS verdicts
    FROM automation_runs r JOIN automations a ON a.id = r.automation_id`;
  return new Map(rows.map((row) => [row.id, { ...row, verdicts: JSON.parse(row.verdicts) }]));
}

function firstWriterWins(writes: readonly HostWrite[], rows: Rows): Check {
  const first = writes.filter(({ answer }) => answer.code === 200);
  const kept = first.filter(({ player, status, conversationId, answer }) => {
    const row = rows.get(player.run.id);
    // Overturned is a presumption, and nothing else.
    const expected = answer.code === 200 && answer.reconciled ? ["presumption"] : [];
    return (
      row?.status === status &&
      row.conversation_id === conversationId &&
      sameList(
        row.verdicts.map(({ basis }) => basis),
        expected,
      )
    );
  });
  const text = "callbacks and cancels that came first kept their result";
  return outOf(kept.length, first.length, text);
}

function deadHaveVerdict(
  players: readonly Player[],
  writes: readonly HostWrite[],
  rows: Rows,
): Check {
  const beaten = new Set(
    writes.filter(({ answer }) => answer.code !== 200).map(({ player }) => player),
  );
  const dead = players.flatMap((player) => {
    if (player.ending.kind === "verdict") return [{ player, ...player.ending }];
    return beaten.has(player) ? [{ player, status: "COMPLETED", basis: "proof" }] : [];
  });
  const right = dead.filter(({ player, status, basis }) => {
    const row = rows.get(player.run.id);
    const [verdict, ...more] = row?.verdicts ?? [];
    const agrees = verdict?.outcome === status && verdict.basis === basis;
    return row?.status === status && agrees && more.length === 0;
  });
  return outOf(right.length, dead.length, "dead runs have the right verdict, and only one");
}

function livingAreLeftAlone(players: readonly Player[], rows: Rows): Check {
  const living = players.filter(({ ending }) => ending.kind === "none");
  const left = living.filter(({ run }) => {
    const row = rows.get(run.id);
    return row?.status === "RUNNING" && row.verdicts.length === 0;
  });
  return outOf(left.length, living.length, "runs that may be alive are still RUNNING");
}

/** By what the host was asked before each verdict, not by what a watchdog says. */
function presumptionsAreConfirmed(sightings: Pick<Sightings, "of">, rows: Rows): Check {
  const presumed = [...rows.values()].flatMap(({ verdicts }) =>
    verdicts.filter(({ basis }) => basis === "presumption"),
  );
  const confirmed = presumed.filter(({ sandbox, decided }) => {
    const times = sightings.of(sandbox ?? "").filter((at) => at <= decided);
    return Math.max(...times) - Math.min(...times) >= TIMING.deferS * 1000;
  });
  const text = `presumptions rest on two sightings, at least ${TIMING.deferS} s apart`;
  return outOf(confirmed.length, presumed.length, text);
}

function massIsHeld({ players, overriddenAtMs }: MassStop, rows: Rows): Check {
  const stayed = players.filter(({ run }) => {
    const endedAtMs = rows.get(run.id)?.completed_at ?? null;
    return endedAtMs === null || endedAtMs >= overriddenAtMs;
  });
  return outOf(stayed.length, players.length, "of the mass stayed RUNNING until the override");
}

function massEndsByOverride({ players, reason, overriddenAtMs }: MassStop, rows: Rows): Check {
  const ended = players.filter(({ run }) => {
    const { status, verdicts = [] } = rows.get(run.id) ?? {};
    const [verdict] = verdicts;
    const journaled = verdict?.override === reason && verdict.decided >= overriddenAtMs;
    return status === "FAILED" && journaled;
  });
  return outOf(ended.length, players.length, "of the mass ended by it, its reason in the journal");
}

/** Deleted is what a proof allows to be deleted, and nothing else. */
function sandboxes(host: FakeHost, players: readonly Player[], rows: Rows): Check {
  const facts = players
    .filter(({ run, sandbox }) => sandbox(run.bashCommandId ?? "") !== null)
    .map(({ run, automation }) => {
      const verdicts = rows.get(run.id)?.verdicts ?? [];
      const proven = verdicts.some(({ basis }) => basis === "proof");
      return {
        due: proven && automation.keepAlive !== true,
        gone: host.sandbox(run.sandboxId ?? "") === undefined,
        noted: verdicts.every(({ cleanup }) => cleanup === "done"),
      };
    });
  const due = facts.filter((fact) => fact.due);
  const deleted = due.filter(({ gone, noted }) => gone && noted).length;
  const wrong = facts.filter((fact) => !fact.due && fact.gone).length;
  const check = outOf(
    deleted,
    due.length,
    `sandboxes of proven dead runs deleted, ${wrong} others`,
  );
  return { ...check, ok: check.ok && wrong === 0 };
}

function firstOutcomes(players: readonly Player[], rows: Rows): Check {
  const templates = players.filter(({ role }) => role === "template");
  const recorded = templates.filter(({ run }) => rows.get(run.id)?.first_run === "success");
  return outOf(recorded.length, templates.length, "templates have their first outcome recorded");
}

function noOpenTransaction({ samples, idleInTransaction }: LockFigures): Check {
  const text = `${idleInTransaction} of ${samples} samples saw a watchdog idle in transaction`;
  return { ok: idleInTransaction === 0 && samples > 0, text };
}

function nobodyWaited({ samples, blockedWriters }: LockFigures): Check {
  const text = `${blockedWriters} writers seen waiting for a watchdog in two samples in a row`;
  return { ok: blockedWriters === 0 && samples > 0, text };
}

function outOf(found: number, expected: number, what: string): Check {
  return { ok: found === expected, text: `${found} of ${expected} ${what}` };
}

function sameList(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((value, at) => value === b[at]);
}
