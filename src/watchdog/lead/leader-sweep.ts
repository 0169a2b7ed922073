import type { SweepEnd } from "../../rules/exit-code.ts";
import type { SweepReport } from "../../rules/report.ts";
import { Chores } from "../cleanup/after-verdicts.ts";
import { housekeep } from "../cleanup/maintenance.ts";
import { LinkedController } from "../concurrency/linked-signal.ts";
import { endOf } from "../errors.ts";
import type { ApiThrottle, Fence } from "../ports.ts";
import type { Horizon } from "../store-ports.ts";
import { Tally } from "../sweep/outcome-counter.ts";
import { makeReport } from "../sweep/report.ts";
import { FencedError } from "../sweep/resolve-write.ts";
import { queryOf, sweep } from "../sweep/sweep.ts";
import { LeaseLostError, type LeaseTerm } from "./lease-term.ts";
import type { ConductDeps, Conducted, ConductOptions, SweepRequest } from "./model.ts";
import { patientStore } from "./patient-store.ts";
import { sweepOptionsOf, watchOutcomes } from "./sweep-watch.ts";

/** A sweep whose lease and epoch are ours. */
export class LedSweep {
  readonly #deps: ConductDeps;
  readonly #options: ConductOptions;
  readonly #request: SweepRequest;
  readonly #term: LeaseTerm;
  readonly #horizon: Horizon;
  readonly #full: boolean;
  readonly #fence: Fence;
  readonly #tally = new Tally();
  readonly #chores: Chores;
  readonly #begunAtMs: number;
  #progressedAtMs = 0;

  constructor(
    deps: ConductDeps,
    options: ConductOptions,
    request: SweepRequest,
    term: LeaseTerm,
    begun: { readonly epoch: number; readonly horizon: Horizon },
    full: boolean,
  ) {
    this.#deps = deps;
    this.#options = options;
    this.#request = request;
    this.#term = term;
    this.#horizon = begun.horizon;
    this.#full = full;
    this.#fence = { epoch: begun.epoch, check: () => term.check() };
    this.#chores = new Chores({ ...deps, onProgress: () => this.#progressed() }, this.#fence, {
      slots: options.cleanupSlots,
      presumedForMs: options.sweep.cleanupDelayMs,
    });
    this.#begunAtMs = deps.clock.monotonicMs();
  }

  async run(stop: AbortSignal): Promise<Conducted> {
    const { log } = this.#deps;
    let error: unknown = null;
    let end: SweepEnd = { kind: "finished" };
    try {
      this.#deps.watch.onTerm?.(() => this.#term.trustedUntilMs);
      // Taking the epoch may have outlasted the trust.
      this.#term.check();
      await this.#sweepAndClean();
      if (this.#full && !(await this.#finish())) {
        throw new FencedError("a newer epoch was handed out before the sweep ended");
      }
    } catch (caught) {
      error = caught;
      end = endOf(stop);
    }
    if (end.kind === "failed") log.error({ err: error, epoch: this.#fence.epoch }, "sweep failed");
    return { kind: "swept", report: await this.#report(end), error };
  }

  /** Three loops side by side; when the sweep cannot go on, the others end with it. */
  async #sweepAndClean(): Promise<void> {
    using scope = new LinkedController(this.#term.signal);
    const informing = this.#informFleet(scope);
    const cleaning = this.#clean(scope.signal);
    try {
      await this.#sweep(scope.signal);
      this.#chores.endSweep();
      const { clock } = this.#deps;
      await Promise.race([cleaning, clock.sleep(this.#options.cleanupTailMs, scope.signal)]);
    } finally {
      scope.abort(new LeaseLostError("the sweep has ended"));
      await Promise.all([cleaning, informing]);
    }
  }

  async #sweep(signal: AbortSignal): Promise<void> {
    const deps = this.#deps;
    const options = this.#options;
    const request = this.#request;
    const store = patientStore(deps.store, deps.clock, signal, (failure) =>
      deps.watch.onStoreTry?.(failure),
    );
    const term = {
      fence: this.#fence,
      holder: options.holder,
      trigger: request.trigger,
      horizon: this.#horizon,
    };
    const sweepOptions = sweepOptionsOf(options, request);
    const backlog = await store.backlog(queryOf(sweepOptions, term));
    deps.watch.onBegin?.({ epoch: this.#fence.epoch, backlog });
    const watch = watchOutcomes(this.#tally, deps.watch, (outcome) => {
      if (outcome.action === "completed" || outcome.action === "failed") this.#chores.nudge();
    });
    const { backend, clock, log } = deps;
    const onProgress = () => this.#progressed();
    await sweep({ store, backend, clock, log, onProgress, ...watch }, sweepOptions, term, signal);
  }

  /** Never rejects: what is left undone stays in the journal. */
  async #clean(signal: AbortSignal): Promise<void> {
    const { log } = this.#deps;
    const { journalRetentionMs, sweep } = this.#options;
    const { cleanupDelayMs, hostCleanupDelayMs } = sweep;
    const options = { journalRetentionMs, cleanupDelayMs, hostCleanupDelayMs };
    const deps = {
      ...this.#deps,
      onProgress: () => this.#progressed(),
      onEndedElsewhere: (count: number) => this.#deps.watch.onEndedElsewhere?.(count),
    };
    try {
      await housekeep(deps, options, this.#fence, signal);
      await this.#chores.run(signal);
    } catch (error) {
      if (!signal.aborted) log.warn({ err: error }, "clean-up goes on in the next sweep");
    }
  }

  /**
   * Keeps the leadership row fresh while the sweep moves on, and learns there of a newer epoch. A stricter wish of the
   * API is passed on at once: this process may be gone in a moment. Never rejects.
   */
  async #informFleet(scope: LinkedController): Promise<void> {
    const { clock, leadership, log } = this.#deps;
    let toldAtMs = clock.monotonicMs();
    let told = this.#throttle;
    while (!scope.signal.aborted) {
      try {
        await clock.sleep(LOOK_EVERY_MS, scope.signal);
        const due = clock.monotonicMs() - toldAtMs >= INFORM_EVERY_MS;
        const moved = this.#progressedAtMs > toldAtMs;
        if (!(due && moved) && !isStricter(this.#throttle, told)) continue;
        toldAtMs = clock.monotonicMs();
        told = this.#throttle;
        if (!(await leadership.progress(this.#fence, told))) {
          scope.abort(new FencedError("a newer epoch was handed out"));
        }
      } catch (error) {
        if (!scope.signal.aborted) log.debug({ err: error }, "noting progress failed");
      }
    }
  }

  #progressed(): void {
    this.#progressedAtMs = this.#deps.clock.monotonicMs();
    this.#term.progress();
    this.#deps.watch.onProgress?.();
  }

  async #finish(): Promise<boolean> {
    const { runs: _, ...summary } = await this.#report({ kind: "finished" });
    return this.#deps.leadership.finish(this.#fence, summary, this.#throttle);
  }

  get #throttle(): ApiThrottle {
    return this.#deps.backend.api?.throttle ?? UNTHROTTLED;
  }

  async #report(end: SweepEnd): Promise<SweepReport> {
    const { journal, clock } = this.#deps;
    // Without a database there is nothing to count; the report says then that the sweep failed.
    const pending = end.kind === "failed" ? 0 : await journal.pendingCleanups().catch(() => 0);
    const { done, abandoned } = this.#chores.summary;
    return makeReport({
      end,
      dryRun: false,
      trigger: this.#request.trigger,
      holder: this.#options.holder,
      epoch: this.#fence.epoch,
      startedAtMs: this.#horizon.ms,
      durationMs: clock.monotonicMs() - this.#begunAtMs,
      tally: this.#tally,
      cleanups: { done, pending, abandoned },
    });
  }
}

const LOOK_EVERY_MS = 1000;
const INFORM_EVERY_MS = 5000;
const UNTHROTTLED: ApiThrottle = { pausedForMs: 0, concurrency: null };

/** A pause that merely runs down, and a limit that recovers, can wait. */
function isStricter(now: ApiThrottle, told: ApiThrottle): boolean {
  const limit = now.concurrency ?? Number.POSITIVE_INFINITY;
  return (
    now.pausedForMs > told.pausedForMs || limit < (told.concurrency ?? Number.POSITIVE_INFINITY)
  );
}
