import { isInForce } from "../../rules/fleet/pause.ts";
import type { GuardScene } from "../../rules/guard.ts";
import {
  type Case,
  type DryRunResult,
  dryRunResultOf,
  type Explanation,
  nextLookAt,
} from "../../rules/history/explanation.ts";
import type { RunRecord } from "../../rules/history/journal.ts";
import type { Evidence, RunSnapshot } from "../../rules/model.ts";
import { judge } from "../../rules/verdict.ts";
import { StoreSchemaError } from "../errors.ts";
import { ALL_VERDICTS, type JournalReader } from "../journal-ports.ts";
import { eachCall, patientStore } from "../port-calls.ts";
import type { Backend, Log } from "../ports.ts";
import type { DeferWrite, GuardFacts, Horizon, RunStore } from "../store-ports.ts";
import { NO_FACTS } from "../sweep/guard-rounds.ts";
import type { SweepRequest } from "../sweep/model.ts";
import { OutcomeCounter } from "../sweep/report.ts";
import { queryOf, sweep } from "../sweep/sweep.ts";
import { dryStore } from "./dry-run.ts";
import type { LeadDeps, LeadOptions } from "./model.ts";

export interface ExplainDeps extends Omit<LeadDeps, "lease" | "journal" | "random" | "watch"> {
  readonly reader: JournalReader;
}

/** The oldest of a run that was started anew so often are of no interest. */
const VERDICTS_SHOWN = 20;

/**
 * What is known of a run, and what a sweep that is limited to it would do now: the backend is asked, by the sweep's own
 * path, and nothing is written anywhere.
 *
 * @returns `null` when neither the host nor the journal knows such a run.
 * @throws StoreUnavailableError, StoreSchemaError or `signal.reason`.
 */
export async function explainRun(
  deps: ExplainDeps,
  options: LeadOptions,
  runId: string,
  intervalMs: number,
  signal: AbortSignal,
): Promise<Explanation | null> {
  const { reader, leadership } = deps;
  const horizon = await leadership.horizon();
  const record = await reader.run(runId, options.sweep.nullDeadlineAfterMs);
  let now: DryRunResult | null = null;
  if (record?.status === "RUNNING") {
    now = await dryRunOf(deps, options, { record, horizon, intervalMs }, signal);
    // It has ended while it was asked about: what there is to say is in its row and in the journal by now.
    if (now === null) return await explainRun(deps, options, runId, intervalMs, signal);
  }
  const verdicts = await reader.verdicts({ ...ALL_VERDICTS, runId, limit: VERDICTS_SHOWN });
  if (record === null && verdicts.length === 0) return null;
  return {
    version: 1,
    runId,
    readAt: record?.readAt ?? new Date(horizon.ms).toISOString(),
    run: record,
    nextLookAt: record && nextLookAt(record),
    paused: record?.status === "RUNNING" ? await pauseInForce(leadership) : null,
    now,
    verdicts,
  };
}

/** Who may only read the host's tables cannot see a pause, and everything else is worth telling all the same. */
async function pauseInForce(leadership: LeadDeps["leadership"]): Promise<Explanation["paused"]> {
  const { lastPause } = await leadership.read().catch((error: unknown) => {
    if (error instanceof StoreSchemaError) return { lastPause: null };
    throw error;
  });
  if (!isInForce(lastPause)) return null;
  const { until, by, reason } = lastPause;
  return { until, by, reason };
}

interface DryRunTarget {
  readonly record: RunRecord;
  readonly horizon: Horizon;
  readonly intervalMs: number;
}

/** A dry sweep of this run alone, and what it heard and meant to write; `null` when the run is not RUNNING any more. */
async function dryRunOf(
  deps: ExplainDeps,
  { holder, sweep: options }: LeadOptions,
  { record, horizon, intervalMs }: DryRunTarget,
  signal: AbortSignal,
): Promise<DryRunResult | null> {
  const { runId } = record;
  const request: SweepRequest = {
    trigger: "once",
    intervalMs,
    runIds: [runId],
    limit: null,
    overrideReason: null,
  };
  const heard = listen(runId, deps.backend);
  const seen = notes(dryStore(patientStore(deps.store, deps.clock, signal)));
  const outcomes = new OutcomeCounter();
  let scene: GuardScene | null = null;
  const watch = {
    onScene(decidedOn: GuardScene) {
      scene = decidedOn;
    },
  };
  const query = queryOf(options, request, horizon);
  const fence = { shard: 0, epoch: 0, check: () => signal.throwIfAborted() };
  const { backend } = heard;
  const { store } = seen;
  await sweep(
    {
      ...deps,
      log: errorsOf(deps.log),
      backend,
      store,
      options,
      request,
      holder,
      fence,
      query,
      outcomes,
      watch,
    },
    signal,
  );
  const { deferral, facts } = seen.noted();
  // While the shared API is not to be asked, a sweep does not even read the run.
  const run = seen.noted().run ?? (await store.read(runId, query));
  const [outcome] = outcomes.runs;
  if (run?.status !== "RUNNING" || outcome === undefined) return null;
  const evidence = heard.evidence();
  const verdict = evidence && judge(run, evidence, options.policy, horizon.ms);
  return dryRunResultOf({
    record,
    run,
    judged: evidence && verdict && { evidence, verdict },
    outcome,
    againInMs: deferral && againInMs(deferral, horizon.ms),
    scene: scene ?? sceneNotAsked(facts),
    horizonMs: horizon.ms,
    deferMs: options.deferMs,
    policy: options.policy,
    guard: options.guard,
  });
}

/** What else a sweep logs as its deeds is none here. */
function errorsOf(log: Log): Log {
  return {
    debug() {},
    info() {},
    warn() {},
    error: (fields, message) => log.error(fields, message),
  };
}

function listen(runId: string, backend: Backend) {
  let evidence: Evidence | null = null;
  const listening: Backend = {
    ...eachCall(backend, (call) => call()),
    async verify(run, signal) {
      const answer = await backend.verify(run, signal);
      if (run.id === runId) evidence = answer;
      return answer;
    },
  };
  return { backend: listening, evidence: () => evidence };
}

/** A run is asked about whether it is due or not. */
function notes(dry: RunStore) {
  let run: RunSnapshot | null = null;
  let deferral: DeferWrite | null = null;
  let facts: GuardFacts = NO_FACTS;
  const store: RunStore = {
    ...dry,
    async read(id, query) {
      const found = await dry.read(id, query);
      run = found && { ...found, stale: found.status === "RUNNING" };
      return run;
    },
    async guardFacts(confirmations, othersWithinMs) {
      facts = await dry.guardFacts(confirmations, othersWithinMs);
      return facts;
    },
    defer(write, fence) {
      deferral = write;
      return dry.defer(write, fence);
    },
  };
  return { store, noted: () => ({ run, deferral, facts }) };
}

function againInMs({ deferMs, notAfterMs }: DeferWrite, horizonMs: number): number {
  return notAfterMs === null ? deferMs : Math.min(deferMs, notAfterMs - horizonMs);
}

/** Where no confirmed presumption waits, as the guard would begin with it. */
function sceneNotAsked(facts: GuardFacts): Case["scene"] {
  const { confirmable, presumedLastHour, provenLastHour, lastAnswered, othersAnswered } = facts;
  return {
    life: null,
    answered: lastAnswered + othersAnswered,
    presumed: confirmable + presumedLastHour,
    appliedLastHour: presumedLastHour,
    provenLastHour,
  };
}
