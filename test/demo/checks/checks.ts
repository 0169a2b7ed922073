/** Afterwards, from the database's own rows: did the watchdogs keep their promises? */
import type { Sql } from "postgres";
import type { FakeHost } from "../../fake-host/fake-host.ts";
import type { LockFigures } from "../../services/postgres/lock-watch.ts";
import { TIMING } from "../scenario/environment.ts";
import type { HostWrite } from "../scenario/host-script.ts";
import type { DemoRun } from "../scenario/runs.ts";
import type { LookupTimes } from "./lookup-times.ts";

/** One promise of the watchdogs, and whether it was kept. */
export interface Check {
  readonly ok: boolean;
  readonly text: string;
}

/** The runs whose sandboxes stopped all at once, and the override that ended them. */
export interface MassStop {
  readonly runs: readonly DemoRun[];
  /** What the person gave as the reason. */
  readonly reason: string;
  /** By the database's clock, Unix milliseconds: nothing may end any of them earlier. */
  readonly overriddenAtMs: number;
}

export interface CheckFacts {
  readonly sql: Sql;
  readonly host: FakeHost;
  /** Those of the mass stop apart. */
  readonly runs: readonly DemoRun[];
  readonly writes: readonly HostWrite[];
  readonly locks: LockFigures;
  readonly massStop: MassStop;
  readonly lookupTimes: Pick<LookupTimes, "of">;
}

export async function checkAll(facts: CheckFacts): Promise<readonly Check[]> {
  const { massStop } = facts;
  const rows = await readRows(facts.sql);
  const runs = [...facts.runs, ...massStop.runs];
  return [
    firstWriterWins(facts.writes, rows),
    deadHaveVerdict(runs, facts.writes, rows),
    livingAreLeftAlone(runs, rows),
    presumptionsAreConfirmed(facts.lookupTimes, rows),
    massStopIsHeld(massStop, rows),
    massStopEndsByOverride(massStop, rows),
    sandboxes(facts.host, runs, rows),
    firstOutcomes(runs, rows),
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
  const kept = first.filter(({ run, status, conversationId, answer }) => {
    const row = rows.get(run.id);
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
  runs: readonly DemoRun[],
  writes: readonly HostWrite[],
  rows: Rows,
): Check {
  const cameTooLate = new Set(
    writes.filter(({ answer }) => answer.code !== 200).map(({ run }) => run),
  );
  const dead = runs.flatMap((run) => {
    if (run.expectedEnd.kind === "verdict") return [{ run, ...run.expectedEnd }];
    return cameTooLate.has(run) ? [{ run, status: "COMPLETED", basis: "proof" }] : [];
  });
  const right = dead.filter(({ run, status, basis }) => {
    const row = rows.get(run.id);
    const [verdict, ...more] = row?.verdicts ?? [];
    const agrees = verdict?.outcome === status && verdict.basis === basis;
    return row?.status === status && agrees && more.length === 0;
  });
  return outOf(right.length, dead.length, "dead runs have the right verdict, and only one");
}

function livingAreLeftAlone(runs: readonly DemoRun[], rows: Rows): Check {
  const living = runs.filter(({ expectedEnd }) => expectedEnd.kind === "none");
  const left = living.filter(({ id }) => {
    const row = rows.get(id);
    return row?.status === "RUNNING" && row.verdicts.length === 0;
  });
  return outOf(left.length, living.length, "runs that may be alive are still RUNNING");
}

/** By what the host was asked before each verdict, not by what a watchdog says. */
function presumptionsAreConfirmed(lookupTimes: Pick<LookupTimes, "of">, rows: Rows): Check {
  const presumed = [...rows.values()].flatMap(({ verdicts }) =>
    verdicts.filter(({ basis }) => basis === "presumption"),
  );
  const confirmed = presumed.filter(({ sandbox, decided }) => {
    const times = lookupTimes.of(sandbox ?? "").filter((at) => at <= decided);
    return Math.max(...times) - Math.min(...times) >= TIMING.deferS * 1000;
  });
  const text = `presumptions rest on two lookups, at least ${TIMING.deferS} s apart`;
  return outOf(confirmed.length, presumed.length, text);
}

function massStopIsHeld({ runs, overriddenAtMs }: MassStop, rows: Rows): Check {
  const stayed = runs.filter(({ id }) => {
    const endedAtMs = rows.get(id)?.completed_at ?? null;
    return endedAtMs === null || endedAtMs >= overriddenAtMs;
  });
  return outOf(stayed.length, runs.length, "stopped at once stayed RUNNING until the override");
}

function massStopEndsByOverride({ runs, reason, overriddenAtMs }: MassStop, rows: Rows): Check {
  const ended = runs.filter(({ id }) => {
    const { status, verdicts = [] } = rows.get(id) ?? {};
    const [verdict] = verdicts;
    const journaled = verdict?.override === reason && verdict.decided >= overriddenAtMs;
    return status === "FAILED" && journaled;
  });
  return outOf(
    ended.length,
    runs.length,
    "stopped at once ended by the override, its reason noted",
  );
}

/** Deleted is what a proof allows to be deleted, and nothing else. */
function sandboxes(host: FakeHost, runs: readonly DemoRun[], rows: Rows): Check {
  const facts = runs
    .filter(({ bashCommandId, sandbox }) => sandbox(bashCommandId ?? "") !== null)
    .map(({ id, sandboxId, automation }) => {
      const verdicts = rows.get(id)?.verdicts ?? [];
      const proven = verdicts.some(({ basis }) => basis === "proof");
      return {
        due: proven && automation.keepAlive !== true,
        gone: host.sandbox(sandboxId ?? "") === undefined,
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

function firstOutcomes(runs: readonly DemoRun[], rows: Rows): Check {
  const templates = runs.filter(({ kind }) => kind === "template");
  const recorded = templates.filter(({ id }) => rows.get(id)?.first_run === "success");
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
