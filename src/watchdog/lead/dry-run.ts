import type { SweepEnd } from "../../rules/exit-code.ts";
import type { SweepReport, Waiting } from "../../rules/report.ts";
import { endOf, saidBy } from "../errors.ts";
import { eachCall, patientStore, type StoreWrites, withProgress } from "../port-calls.ts";
import { quietLog } from "../quiet-log.ts";
import type { RunStore } from "../store-ports.ts";
import type { SweepRequest } from "../sweep/model.ts";
import { makeReport, OutcomeCounter, together } from "../sweep/report.ts";
import { queryOf, sweep } from "../sweep/sweep.ts";
import { inSweepSpan, traced } from "../tracing.ts";
import { showBackendClock } from "./clocks.ts";
import type { LeadDeps, LeadOptions } from "./model.ts";

/**
 * What a sweep would do, with every limit, on the same path: takes no lease and no epoch, and writes nothing anywhere.
 *
 * @param verdictsAt at which level the log tells, in the conditional, what a sweep would tell as an event.
 * @throws StoreUnavailableError, StoreSchemaError or `signal.reason` when nothing was judged.
 */
export async function dryRunSweep(
  deps: DryDeps,
  options: LeadOptions,
  request: SweepRequest,
  signal: AbortSignal,
  verdictsAt: "info" | "debug" = "debug",
): Promise<Judged> {
  const tracer = deps.tracing ? await deps.tracing.tracer() : null;
  const about = { epoch: null, trigger: request.trigger };
  const judge = () => judgeAll(traced(deps, tracer), options, request, signal, verdictsAt);
  return await inSweepSpan(tracer, about, judge);
}

type DryDeps = Omit<LeadDeps, "lease">;

interface Judged {
  readonly report: SweepReport;
  readonly error: unknown;
}

async function judgeAll(
  deps: DryDeps,
  options: LeadOptions,
  request: SweepRequest,
  signal: AbortSignal,
  verdictsAt: "info" | "debug",
): Promise<Judged> {
  const { clock, log, watch } = deps;
  const { holder } = options;
  const sentMs = clock.now().getTime();
  const horizon = await deps.leadership.horizon();
  const receivedMs = clock.now().getTime();
  watch.onClock?.("postgres", { theirMs: horizon.ms, sentMs, receivedMs, precisionMs: 1 });
  const begunAtMs = clock.monotonicMs();
  const { store, backend } = withProgress(deps, () => watch.onProgress?.());
  const outcomes = new OutcomeCounter((outcome) => watch.onOutcome?.(outcome));
  let end: SweepEnd = { kind: "finished" };
  let error: unknown = null;
  let waiting: Waiting | null = null;
  const isLimited = request.runIds !== null || request.limit !== null;
  try {
    const dry = dryStore(patientStore(store, clock, signal));
    const query = queryOf(options.sweep, request, horizon);
    watch.onBegin?.({ epoch: null, backlog: await dry.backlog(query) });
    const fence = { shard: 0, epoch: 0, check: () => signal.throwIfAborted() };
    // Its verdicts are no events.
    const context = {
      ...deps,
      log: quietLog(log, "dry run, would be: ", verdictsAt),
      backend,
      store: dry,
      request,
      holder,
      fence,
      query,
      outcomes,
    };
    await sweep({ ...context, options: options.sweep }, signal);
    // What was judged now would not be as it is noted.
    waiting = isLimited
      ? await dry.waiting()
      : together(await dry.waiting(horizon), outcomes.waiting);
    watch.onWaiting?.(waiting);
  } catch (caught) {
    error = caught;
    end = endOf(signal);
    if (end.kind === "failed") log.error({ err: error }, "the dry run failed");
  }
  const report = makeReport({
    end,
    dryRun: true,
    trigger: request.trigger,
    holder,
    epoch: null,
    startedAtMs: horizon.ms,
    durationMs: clock.monotonicMs() - begunAtMs,
    outcomes,
    waiting,
    named: request.runIds !== null,
    ...(end.kind === "failed" ? { failure: saidBy(error) } : {}),
  });
  showBackendClock(deps);
  watch.onSweep?.(report);
  return { report, error };
}

/** A store that judges for show: reads are real, writes succeed and change nothing. */
export function dryStore(store: RunStore): RunStore {
  const writes: StoreWrites = {
    apply: async () => ({ kind: "written" }),
    defer: async () => ({ kind: "written" }),
    deferSkipped: async () => {},
    noteError: async () => {},
    dropSuspicions: async () => 0,
  };
  return { ...eachCall(store, (read) => read()), ...writes };
}
