import { heapCollectors } from "../app/heap.ts";
import { openProcessLog } from "../app/log.ts";
import { openRuntime, type Runtime } from "../app/runtime.ts";
import { parseConfig } from "../config/config.ts";
import { wantsColours } from "../report/colours.ts";
import { noProgress, type Progress, progressBar } from "../report/progress.ts";
import { duration } from "../report/words.ts";
import { type ClockPeer, type ClockReading, skewMs } from "../rules/clock-skew.ts";
import type { SweepEnd } from "../rules/exit-code.ts";
import { END_PAUSE } from "../rules/fleet/pause.ts";
import { otherNoteText } from "../rules/fleet/shard.ts";
import { leaseKeyOf } from "../rules/lease-key.ts";
import type { SweepReport, Waiting } from "../rules/report.ts";
import { ClockLog } from "../watchdog/clock-log.ts";
import {
  endOf,
  LeaseUnavailableError,
  StoreSchemaError,
  StoreUnavailableError,
  saidBy,
} from "../watchdog/errors.ts";
import type { LeaseHeld } from "../watchdog/lead/acquire.ts";
import { dryRunSweep } from "../watchdog/lead/dry-run.ts";
import { leadSweep } from "../watchdog/lead/lead-sweep.ts";
import type { HeldElsewhere, LeadResult } from "../watchdog/lead/model.ts";
import type { Log } from "../watchdog/ports.ts";
import { quietLog } from "../watchdog/quiet-log.ts";
import type { LeadershipView } from "../watchdog/store-ports.ts";
import type { SweepRequest, SweepWatch } from "../watchdog/sweep/model.ts";
import { makeReport } from "../watchdog/sweep/report.ts";
import type { OnceCommand } from "./command.ts";
import type { ProcessContext } from "./process-context.ts";
import { tellReport } from "./told.ts";

/**
 * One sweep. Prints its report to stdout, whatever came of it.
 *
 * @returns the exit code, without what becomes of stdout.
 * @throws ConfigError, StoreSchemaError: exit code 2, without a report.
 */
export async function once(
  context: ProcessContext,
  asked: OnceCommand,
  signal: AbortSignal,
): Promise<number> {
  const { env, readFile, stderr } = context;
  const { config, warnings } = parseConfig(env, readFile);
  await using log = openProcessLog(config.log, stderr, 2, wantsColours(stderr, env));
  for (const warning of warnings) log.warn({}, warning);
  const command = { ...asked, dryRun: asked.dryRun || config.mode === "observe" };

  signal.addEventListener("abort", () => log.info({}, "stopping, writes in flight end first"));
  await using runtime = openRuntime(config, context, log, {
    onBulk: heapCollectors().onBulk,
    observes: command.dryRun,
  });
  const showsBar = command.output === "human" && stderr.isTTY;
  const progress = showsBar ? progressBar(stderr) : noProgress;
  try {
    const report = await sweepOnce(runtime, command, progress, log, signal);
    progress.stop();
    return tellReport(context, command.output, report);
  } finally {
    progress.stop();
  }
}

async function sweepOnce(
  runtime: Runtime,
  command: OnceCommand,
  progress: Progress,
  log: Log,
  signal: AbortSignal,
): Promise<SweepReport> {
  const { options, schedule } = runtime;
  const { runIds, limit, overrideReason } = command;
  let installation = "*";
  const onLeadership = (view: LeadershipView) => {
    installation = view.installation;
  };
  const clocks = new ClockLog(log);
  const onClock = (peer: ClockPeer, reading: ClockReading) => clocks.saw(peer, skewMs(reading));
  const deps = {
    ...runtime.deps,
    // On a terminal the report tells of the runs, and lines would break the bar.
    log: progress === noProgress ? log : quietLog(log),
    watch: { ...watchFor(progress, command), onLeadership, onClock },
  };
  const intervalMs = schedule.intervalMs();
  const request: SweepRequest = { trigger: "once", intervalMs, runIds, limit, overrideReason };
  try {
    if (command.dryRun) {
      const { report, error } = await dryRunSweep(deps, options, request, signal);
      if (report.status === "error") log.error({ err: error }, "sweep failed");
      return report;
    }
    let untilMs: number | null = null;
    let saidOfShard: number | null = null;
    /** False when the time is over. */
    const waits = async (held: LeaseHeld): Promise<boolean> => {
      // How long it took to connect and to be refused is no waiting for somebody else.
      const nowMs = deps.clock.monotonicMs();
      untilMs ??= nowMs + command.waitMs;
      const leftMs = untilMs - nowMs;
      if (leftMs <= 0) return false;
      const { shard = 0 } = held;
      if (shard !== saidOfShard) log.info(held, "waiting for the lease");
      saidOfShard = shard;
      await deps.clock.sleep(Math.min(LOOK_AGAIN_MS, leftMs), signal);
      return true;
    };
    while (true) {
      const result = await leadSweep(deps, options, request, signal, waits);
      if (result.kind === "swept") return result.report;
      if (result.kind !== "lease-held" || !(await waits(result))) {
        return await refused(runtime, result, installation, log);
      }
    }
  } catch (error) {
    const end = whyNothing(error, signal);
    if (end.kind === "interrupted") return emptyReport(runtime, command.dryRun, end);
    log.error({ err: error }, "nothing was swept");
    return emptyReport(
      runtime,
      command.dryRun,
      end,
      `${whoFailed(runtime, error)}${saidBy(error)}`,
    );
  }
}

/** Somebody else may be done long before the lease would run out. */
const LOOK_AGAIN_MS = 1000;

async function refused(
  runtime: Runtime,
  result: Exclude<LeadResult, { kind: "swept" }>,
  installation: string,
  log: Log,
): Promise<SweepReport> {
  if (result.kind === "other-lease-kind") {
    const { lease } = runtime.deps;
    const own = { leaseKind: lease.kind, shards: runtime.options.shards };
    const differs = result.noted && otherNoteText(result.noted, own);
    throw new StoreSchemaError(
      differs ?? "the lease noted in watchdog.leadership is unknown to this version: update it",
    );
  }
  if (result.kind === "paused") {
    log.warn({ ...result.pause, remedy: END_PAUSE }, "paused, nothing is swept");
    const waiting = await runtime.deps.store.waiting().catch(() => null);
    return emptyReport(runtime, false, result, undefined, waiting);
  }
  if (result.kind === "already-swept") return emptyReport(runtime, false, { kind: "lease-held" });
  const { kind: _, ...held } = result;
  const { holder, expiresInMs } = held;
  const key = leaseKeyOf(installation, held.shard);
  log.warn(held, "another worker holds the lease");
  if (expiresInMs === null) log.error({ holder, key }, "the lease has no expiry, delete its key");
  const waiting = await runtime.deps.store.waiting().catch(() => null);
  return emptyReport(runtime, false, { kind: "lease-held" }, whoHolds(result, key), waiting);
}

function whoHolds({ holder, expiresInMs, heldForMs, shard }: HeldElsewhere, key: string): string {
  const which = shard === undefined ? "" : ` of shard ${shard}`;
  const who = `another worker holds the lease${which}${holder === null ? "" : `: ${holder}`}`;
  if (expiresInMs === null) return `${who}, its key ${key} has no expiry: delete it`;
  if (expiresInMs === 0) return `another worker held the lease${which}, it is free again`;
  const untilNow = heldForMs === null ? "" : `for ${duration(heldForMs)} by now and `;
  return `${who}, ${untilNow}for up to ${Math.ceil(expiresInMs / 1000)} s unless it renews it`;
}

function whoFailed({ deps }: Runtime, error: unknown): string {
  if (error instanceof StoreUnavailableError) return "Postgres: ";
  if (!(error instanceof LeaseUnavailableError)) return "";
  return deps.lease.kind === "redis" ? "Redis: " : "Postgres: ";
}

function whyNothing(error: unknown, signal: AbortSignal): SweepEnd {
  if (signal.aborted) return endOf(signal);
  if (error instanceof StoreUnavailableError || error instanceof LeaseUnavailableError) {
    return { kind: "unavailable" };
  }
  if (error instanceof StoreSchemaError) throw error;
  return { kind: "failed" };
}

function emptyReport(
  { deps, options }: Runtime,
  dryRun: boolean,
  end: SweepEnd,
  failure?: string,
  waiting: Waiting | null = null,
): SweepReport {
  return makeReport({
    end,
    dryRun,
    trigger: "once",
    holder: options.holder,
    epoch: null,
    startedAtMs: deps.clock.now().getTime(),
    durationMs: 0,
    waiting,
    ...(failure === undefined ? {} : { failure }),
  });
}

function watchFor(progress: Progress, { runIds, limit }: OnceCommand): SweepWatch {
  return {
    onBegin({ backlog }) {
      const named = runIds === null ? (backlog?.count ?? 0) : new Set(runIds).size;
      progress.begin(Math.min(named, limit ?? named));
    },
    ...(progress !== noProgress && { onOutcome: () => progress.advance() }),
  };
}
