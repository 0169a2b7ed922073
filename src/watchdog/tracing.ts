/** What of a sweep becomes a span, and what a span says of it. */
import type { Evidence } from "../rules/model.ts";
import type { SweepReport } from "../rules/report.ts";
import { errorTypeOf } from "./errors.ts";
import { eachCall, type StoreWrites, type WorkPorts } from "./port-calls.ts";
import type { Backend, SpanAttributes, SpanEnd, Tracer } from "./ports.ts";
import type { RunStore, WriteResult } from "./store-ports.ts";

export interface SweepSpan {
  /** `null` in a dry run. */
  readonly epoch: number | null;
  readonly trigger: string;
}

/** The sweep inside a span of its own; without a tracer, just the sweep. */
export function inSweepSpan<R extends { readonly report: SweepReport; readonly error: unknown }>(
  tracer: Tracer | null,
  { epoch, trigger }: SweepSpan,
  sweep: () => Promise<R>,
): Promise<R> {
  if (tracer === null) return sweep();
  const attributes = {
    "watchdog.trigger": trigger,
    "watchdog.dry_run": epoch === null,
    ...(epoch !== null && { "watchdog.epoch": epoch }),
  };
  return tracer.span({ name: "sweep", kind: "internal", attributes }, sweep, endOfSweep);
}

function endOfSweep({ report, error }: { readonly report: SweepReport; readonly error: unknown }) {
  const { stale, completed, failed, held } = report.counts;
  return {
    attributes: {
      "watchdog.sweep.status": report.status,
      "watchdog.sweep.stale": stale,
      "watchdog.sweep.completed": completed,
      "watchdog.sweep.failed": failed,
      "watchdog.sweep.held": held,
    },
    errorType: report.status === "error" ? errorTypeOf(error) : null,
  };
}

/** The same, with a span around each question to the backend and each write; the very same without a tracer. */
export function traced<D extends WorkPorts>(
  deps: D,
  tracer: Tracer | null,
): D & { readonly tracer: Tracer | null } {
  if (tracer === null) return { ...deps, tracer };
  const store = tracedStore(deps.store, tracer);
  return { ...deps, store, backend: tracedBackend(deps.backend, tracer), tracer };
}

/** Deletions are told where they are claimed: only there it is known whose they are. */
function tracedBackend(backend: Backend, tracer: Tracer): Backend {
  return {
    ...eachCall(backend, (call) => call()),
    verify(run, signal) {
      const attributes = { "watchdog.run.id": run.id };
      const start = { name: "verify", kind: "internal", attributes } as const;
      return tracer.span(start, () => backend.verify(run, signal), endOfVerify);
    },
  };
}

function endOfVerify(evidence: Evidence): SpanEnd {
  const attributes = { "watchdog.evidence": evidence.kind };
  switch (evidence.kind) {
    case "unreachable":
      return { attributes, errorType: evidence.failure.kind };
    case "malformed":
      return { attributes, errorType: evidence.kind };
    default:
      return { attributes, errorType: null };
  }
}

function tracedStore(store: RunStore, tracer: Tracer): RunStore {
  function write<T>(
    [name, verb]: readonly [name: keyof StoreWrites, verb: string],
    attributes: SpanAttributes,
    call: () => Promise<T>,
    endOf: (result: T) => SpanEnd = () => ({ errorType: null }),
  ): Promise<T> {
    const about = {
      "db.system.name": "postgresql",
      "db.operation.name": verb,
      "watchdog.write": name,
      ...attributes,
    };
    return tracer.span({ name: "write", kind: "client", attributes: about }, call, endOf);
  }
  const ofRun = (runId: string) => ({ "watchdog.run.id": runId });
  const writes: StoreWrites = {
    apply: (verdict, fence) =>
      write(
        ["apply", "UPDATE"],
        ofRun(verdict.run.id),
        () => store.apply(verdict, fence),
        endOfWrite,
      ),
    defer: (look, fence) =>
      write(["defer", "UPDATE"], ofRun(look.run.id), () => store.defer(look, fence), endOfWrite),
    deferSkipped: (runIds, ...rest) =>
      write(["deferSkipped", "UPDATE"], { "watchdog.runs": runIds.length }, () =>
        store.deferSkipped(runIds, ...rest),
      ),
    noteError: (run, fence) =>
      write(["noteError", "INSERT"], ofRun(run.runId), () => store.noteError(run, fence)),
    dropSuspicions: (fence) =>
      write(["dropSuspicions", "DELETE"], {}, () => store.dropSuspicions(fence)),
  };
  return { ...eachCall(store, (call) => call()), ...writes };
}

function endOfWrite({ kind }: WriteResult): SpanEnd {
  const attributes = { "watchdog.write.result": kind };
  return { attributes, errorType: kind === "refused" ? kind : null };
}

/** Asks a sandbox's API to delete or pause it; `answer.kind` is how that ended. */
export function inCleanupSpan<R extends { readonly kind: string }>(
  tracer: Tracer,
  name: "delete" | "pause",
  runId: string,
  ask: () => Promise<R>,
): Promise<R> {
  const attributes = { "watchdog.run.id": runId };
  return tracer.span({ name, kind: "internal", attributes }, ask, ({ kind }) => ({
    attributes: { "watchdog.cleanup.result": kind },
    errorType: kind === "failed" ? kind : null,
  }));
}
