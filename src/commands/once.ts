import { youngCollector } from "../app/heap.ts";
import { openProcessLog } from "../app/log.ts";
import { openRuntime, type Runtime } from "../app/runtime.ts";
import { parseConfig } from "../config/config.ts";
import { githubReport, githubSummary } from "../report/github.ts";
import { humanReport } from "../report/human.ts";
import { jsonReport } from "../report/json.ts";
import { noProgress, type Progress, progressBar } from "../report/progress.ts";
import { exitCodeUntold, type SweepEnd } from "../rules/exit-code.ts";
import { leaseKeyOf } from "../rules/lease-key.ts";
import type { SweepReport } from "../rules/report.ts";
import {
  endOf,
  LeaseUnavailableError,
  StoreSchemaError,
  StoreUnavailableError,
} from "../watchdog/errors.ts";
import { dryRunSweep } from "../watchdog/lead/dry-run.ts";
import { leadSweep } from "../watchdog/lead/lead-sweep.ts";
import type { LeadResult } from "../watchdog/lead/model.ts";
import type { Log } from "../watchdog/ports.ts";
import type { LeadershipView } from "../watchdog/store-ports.ts";
import type { SweepRequest, SweepWatch } from "../watchdog/sweep/model.ts";
import { makeReport } from "../watchdog/sweep/report.ts";
import type { OnceCommand } from "./command.ts";
import type { ProcessContext } from "./process-context.ts";

/**
 * One sweep. Prints its report to stdout, whatever came of it.
 *
 * @returns the exit code, without what becomes of stdout.
 * @throws ConfigError, StoreSchemaError: exit code 2, without a report.
 */
export async function once(
  context: ProcessContext,
  command: OnceCommand,
  signal: AbortSignal,
): Promise<number> {
  const { env, readFile, stderr } = context;
  const { config, warnings } = parseConfig(env, readFile);
  await using log = openProcessLog(config.log, stderr, 2);
  for (const warning of warnings) log.warn({}, warning);

  signal.addEventListener("abort", () => log.info({}, "stopping, writes in flight end first"));
  await using runtime = openRuntime(config, context, log, { onBulk: youngCollector() });
  const showsBar = command.output === "human" && stderr.isTTY;
  const progress = showsBar ? progressBar(stderr) : noProgress;
  try {
    const report = await sweepOnce(runtime, command, progress, log, signal);
    progress.stop();
    return print(context, command, report);
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
  const deps = { ...runtime.deps, watch: { ...watchFor(progress, command), onLeadership } };
  const intervalMs = schedule.intervalMs();
  const request: SweepRequest = { trigger: "once", intervalMs, runIds, limit, overrideReason };
  try {
    if (command.dryRun) {
      const { report, error } = await dryRunSweep(deps, options, request, signal);
      if (report.status === "error") log.error({ err: error }, "sweep failed");
      return report;
    }
    const waitUntilMs = deps.clock.monotonicMs() + command.waitMs;
    for (let attempt = 1; ; attempt += 1) {
      const result = await leadSweep(deps, options, request, signal);
      if (result.kind === "swept") return result.report;
      const leftMs = waitUntilMs - deps.clock.monotonicMs();
      if (result.kind !== "lease-held" || leftMs <= 0) {
        return refused(runtime, result, installation, log);
      }
      if (attempt === 1) log.info(result, "waiting for the lease");
      await deps.clock.sleep(Math.min(LOOK_AGAIN_MS, leftMs), signal);
    }
  } catch (error) {
    const end = whyNothing(error, signal);
    if (end.kind !== "interrupted") log.error({ err: error }, "nothing was swept");
    return emptyReport(runtime, command.dryRun, end);
  }
}

/** Somebody else may be done long before the lease would run out. */
const LOOK_AGAIN_MS = 1000;

function refused(
  runtime: Runtime,
  result: Exclude<LeadResult, { kind: "swept" }>,
  installation: string,
  log: Log,
): SweepReport {
  if (result.kind === "other-lease-kind") {
    throw new StoreSchemaError(
      `other workers of this database use the ${result.noted} lease: give all of them the same REDIS_URL, or none`,
    );
  }
  if (result.kind === "lease-held") {
    const { holder, expiresInMs } = result;
    log.warn({ holder, expiresInMs }, "another worker holds the lease");
    if (expiresInMs === null) {
      log.error(
        { holder, key: leaseKeyOf(installation) },
        "the lease has no expiry, delete its key",
      );
    }
  }
  return emptyReport(runtime, false, { kind: "lease-held" });
}

function whyNothing(error: unknown, signal: AbortSignal): SweepEnd {
  if (signal.aborted) return endOf(signal);
  if (error instanceof StoreUnavailableError || error instanceof LeaseUnavailableError) {
    return { kind: "unavailable" };
  }
  if (error instanceof StoreSchemaError) throw error;
  return { kind: "failed" };
}

function emptyReport({ deps, options }: Runtime, dryRun: boolean, end: SweepEnd): SweepReport {
  return makeReport({
    end,
    dryRun,
    trigger: "once",
    holder: options.holder,
    epoch: null,
    startedAtMs: deps.clock.now().getTime(),
    durationMs: 0,
  });
}

function watchFor(progress: Progress, { runIds, limit }: OnceCommand): SweepWatch {
  return {
    onBegin({ backlog }) {
      const named = runIds === null ? backlog.count : new Set(runIds).size;
      progress.begin(Math.min(named, limit ?? named));
    },
    onOutcome: () => progress.advance(),
  };
}

/** @returns the exit code: of the report, unless a part of it could not be written. */
function print(
  { stdout, stderr, env, appendFile }: ProcessContext,
  { output }: OnceCommand,
  report: SweepReport,
): number {
  switch (output) {
    case "human":
      stdout.write(humanReport(report));
      return report.exitCode;
    case "json":
      stdout.write(jsonReport(report));
      return report.exitCode;
    case "github":
      stdout.write(githubReport(report));
  }
  try {
    const summaryPath = env["GITHUB_STEP_SUMMARY"];
    if (summaryPath) appendFile(summaryPath, githubSummary(report));
    return report.exitCode;
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    stderr.write(
      `run-watchdog: the summary could not be written to GITHUB_STEP_SUMMARY: ${why} (the sweep itself ended with exit code ${report.exitCode})\n`,
    );
    return exitCodeUntold(report.exitCode);
  }
}
