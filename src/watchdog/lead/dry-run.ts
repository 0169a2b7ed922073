import type { SweepEnd } from "../../rules/exit-code.ts";
import type { SweepReport } from "../../rules/report.ts";
import { endOf } from "../errors.ts";
import { OutcomeCounter } from "../sweep/outcome-counter.ts";
import { makeReport } from "../sweep/report.ts";
import { queryOf, sweep } from "../sweep/sweep.ts";
import type { LeadDeps, LeadOptions, SweepRequest } from "./model.ts";
import { dryStore, patientStore } from "./patient-store.ts";
import { sweepOptionsOf, watchOutcomes } from "./sweep-watch.ts";

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
  const horizon = await deps.leadership.horizon();
  const begunAtMs = deps.clock.monotonicMs();
  const counter = new OutcomeCounter();
  let end: SweepEnd = { kind: "finished" };
  let error: unknown = null;
  try {
    const store = dryStore(patientStore(deps.store, deps.clock, signal));
    const term = {
      fence: { epoch: 0, check: () => signal.throwIfAborted() },
      holder: options.holder,
      trigger: request.trigger,
      horizon,
    };
    const sweepOptions = sweepOptionsOf(options, request);
    const backlog = await store.backlog(queryOf(sweepOptions, term));
    deps.watch.onBegin?.({ epoch: null, backlog });
    const { backend, clock, log } = deps;
    const onProgress = () => deps.watch.onProgress?.();
    const watch = watchOutcomes(counter, deps.watch);
    await sweep({ store, backend, clock, log, onProgress, ...watch }, sweepOptions, term, signal);
  } catch (caught) {
    error = caught;
    end = endOf(signal);
    if (end.kind === "failed") deps.log.error({ err: error }, "the dry run failed");
  }
  const report = makeReport({
    end,
    dryRun: true,
    trigger: request.trigger,
    holder: options.holder,
    epoch: null,
    startedAtMs: horizon.ms,
    durationMs: deps.clock.monotonicMs() - begunAtMs,
    counter,
  });
  return { report, error };
}
