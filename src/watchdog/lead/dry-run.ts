import type { SweepEnd } from "../../rules/exit-code.ts";
import type { SweepReport } from "../../rules/report.ts";
import { endOf } from "../errors.ts";
import { eachCall, patientStore, type StoreWrites, withProgress } from "../port-calls.ts";
import type { RunStore } from "../store-ports.ts";
import type { SweepRequest } from "../sweep/model.ts";
import { makeReport, OutcomeCounter } from "../sweep/report.ts";
import { queryOf, sweep } from "../sweep/sweep.ts";
import type { LeadDeps, LeadOptions } from "./model.ts";

/**
 * What a sweep would do, with every limit, on the same path: takes no lease and no epoch, and writes nothing anywhere.
 *
 * @throws StoreUnavailableError, StoreSchemaError or `signal.reason` when nothing was judged.
 */
export async function dryRunSweep(
  deps: Omit<LeadDeps, "lease">,
  options: LeadOptions,
  request: SweepRequest,
  signal: AbortSignal,
): Promise<{ readonly report: SweepReport; readonly error: unknown }> {
  const { clock, log, watch } = deps;
  const { holder } = options;
  const horizon = await deps.leadership.horizon();
  const begunAtMs = clock.monotonicMs();
  const { store, backend } = withProgress(deps, () => watch.onProgress?.());
  const outcomes = new OutcomeCounter((outcome) => watch.onOutcome?.(outcome));
  let end: SweepEnd = { kind: "finished" };
  let error: unknown = null;
  try {
    const dry = dryStore(patientStore(store, clock, signal));
    const query = queryOf(options.sweep, request, horizon);
    watch.onBegin?.({ epoch: null, backlog: await dry.backlog(query) });
    const fence = { epoch: 0, check: () => signal.throwIfAborted() };
    const context = { ...deps, backend, store: dry, request, holder, fence, query, outcomes };
    await sweep({ ...context, options: options.sweep }, signal);
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
  });
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
