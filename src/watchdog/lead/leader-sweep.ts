import type { SweepEnd } from "../../rules/exit-code.ts";
import { isInForce, type Pause } from "../../rules/fleet/pause.ts";
import { WHOLE } from "../../rules/fleet/shard.ts";
import type { RunOutcome, SweepReport, Waiting } from "../../rules/report.ts";
import { AfterVerdicts } from "../cleanup/after-verdicts.ts";
import { maintain } from "../cleanup/maintenance.ts";
import { withDeadline } from "../concurrency/deadline.ts";
import { LinkedController } from "../concurrency/linked-signal.ts";
import {
  endOf,
  FencedError,
  LeaseLostError,
  type StoreUnavailableError,
  saidBy,
} from "../errors.ts";
import { patientStore, withProgress } from "../port-calls.ts";
import type { ApiThrottle, Fence, Tracer } from "../ports.ts";
import type { Horizon } from "../store-ports.ts";
import type { SweepRequest } from "../sweep/model.ts";
import { makeReport, OutcomeCounter } from "../sweep/report.ts";
import { queryOf, sweep } from "../sweep/sweep.ts";
import type { HeldLease } from "./acquire.ts";
import { heartbeat } from "./heartbeat.ts";
import type { LeadDeps, LeadOptions, Swept } from "./model.ts";

interface LeaderDeps extends LeadDeps {
  readonly tracer: Tracer | null;
}

/** A sweep whose lease and epoch are ours. */
export class LeaderSweep {
  readonly #deps: LeaderDeps;
  readonly #options: LeadOptions;
  readonly #request: SweepRequest;
  readonly #term: HeldLease;
  readonly #horizon: Horizon;
  readonly #full: boolean;
  /** What concerns all runs alike is done in the first shard's sweep. */
  readonly #isFirst: boolean;
  readonly #fence: Fence;
  readonly #outcomes = new OutcomeCounter((outcome) => this.#ended(outcome));
  readonly #afterVerdicts: AfterVerdicts;
  readonly #begunAtMs: number;
  #progressedAtMs = 0;
  #waiting: Waiting | null = null;

  constructor(
    deps: LeaderDeps,
    options: LeadOptions,
    request: SweepRequest,
    term: HeldLease,
    begun: { readonly epoch: number; readonly horizon: Horizon },
    full: boolean,
  ) {
    this.#deps = { ...deps, ...withProgress(deps, () => this.#progressed()) };
    this.#options = options;
    this.#request = request;
    this.#term = term;
    this.#horizon = begun.horizon;
    this.#full = full;
    const { index: shard } = request.shard ?? WHOLE;
    this.#isFirst = shard === 0;
    this.#fence = { shard, epoch: begun.epoch, check: () => term.check() };
    this.#afterVerdicts = new AfterVerdicts(this.#deps, this.#fence, {
      slots: options.cleanupSlots,
      presumedForMs: options.sweep.cleanupDelayMs,
    });
    this.#begunAtMs = deps.clock.monotonicMs();
  }

  async run(stop: AbortSignal): Promise<Swept> {
    const { log, watch } = this.#deps;
    let error: unknown = null;
    let end: SweepEnd = { kind: "finished" };
    try {
      watch.onTerm?.(() => this.#term.trustedUntilMs);
      // Taking the epoch may have outlasted the trust.
      this.#term.check();
      await this.#sweepAndClean();
      await this.#countWaiting();
      if (this.#full && !(await this.#finish())) {
        throw new FencedError("a newer epoch was handed out before the sweep ended");
      }
    } catch (caught) {
      error = caught;
      end = endOf(stop);
      const pause = caught instanceof FencedError ? await this.#pause() : null;
      if (pause !== null) end = { kind: "paused", pause };
      if (end.kind === "interrupted" || end.kind === "paused")
        await this.#countWaiting().catch(() => {});
    }
    if (end.kind === "failed") log.error({ err: error, epoch: this.#fence.epoch }, "sweep failed");
    const report = await this.#report(end, error);
    watch.onSweep?.(report);
    return { kind: "swept", report, error };
  }

  async #countWaiting(): Promise<void> {
    if (!this.#isFirst) return;
    const { store, watch } = this.#deps;
    this.#waiting = await store.waiting();
    watch.onWaiting?.(this.#waiting);
  }

  /** A pause takes the epoch away, as a new leader does. `null` where it was a leader, or nobody can say. */
  async #pause(): Promise<Pause | null> {
    const { leadership, watch } = this.#deps;
    try {
      const view = await leadership.read(this.#fence.shard);
      watch.onLeadership?.(view);
      return isInForce(view.lastPause) ? view.lastPause : null;
    } catch {
      return null;
    }
  }

  /** Three loops side by side; when the sweep cannot go on, the others end with it. */
  async #sweepAndClean(): Promise<void> {
    const { clock, leadership, log } = this.#deps;
    using scope = new LinkedController(this.#term.signal);
    const progressedAtMs = () => this.#progressedAtMs;
    const throttle = () => this.#throttle;
    const beating = heartbeat(
      { clock, leadership, log, progressedAtMs, throttle },
      this.#fence,
      scope,
    );
    const cleaning = this.#isFirst ? this.#clean(scope.signal) : Promise.resolve();
    try {
      await this.#sweep(scope.signal);
      this.#afterVerdicts.endSweep();
      await withDeadline(clock, this.#options.cleanupTailMs, () => cleaning, scope.signal);
    } finally {
      scope.abort(new LeaseLostError("the sweep has ended"));
      await Promise.all([cleaning, beating]);
    }
  }

  async #sweep(signal: AbortSignal): Promise<void> {
    const { clock, watch } = this.#deps;
    const { holder, sweep: options } = this.#options;
    const request = this.#request;
    const fence = this.#fence;
    const outcomes = this.#outcomes;
    const onTry = (failure: StoreUnavailableError | null) => watch.onStoreTry?.(failure);
    const store = patientStore(this.#deps.store, clock, signal, onTry);
    const query = queryOf(options, request, this.#horizon);
    const backlog = this.#isFirst ? await store.backlog(query) : null;
    watch.onBegin?.({ epoch: fence.epoch, backlog });
    const context = { ...this.#deps, store, options, request, holder, fence, query, outcomes };
    await sweep(context, signal);
  }

  #ended(outcome: RunOutcome): void {
    this.#deps.watch.onOutcome?.(outcome);
    if (outcome.action === "completed" || outcome.action === "failed") this.#afterVerdicts.nudge();
  }

  /** Never rejects: what is left undone stays in the journal. */
  async #clean(signal: AbortSignal): Promise<void> {
    const { log, watch } = this.#deps;
    const { journalRetentionMs, sweep: delays } = this.#options;
    const onEndedElsewhere = (count: number) => watch.onEndedElsewhere?.(count);
    const onOverturned = (count: number) => watch.onOverturned?.(count);
    try {
      await maintain(
        { ...this.#deps, onEndedElsewhere, onOverturned },
        { ...delays, journalRetentionMs },
        this.#fence,
        signal,
      );
      await this.#afterVerdicts.run(signal);
    } catch (error) {
      if (!signal.aborted) log.warn({ err: error }, "clean-up goes on in the next sweep");
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

  async #report(end: SweepEnd, error: unknown = null): Promise<SweepReport> {
    const { journal, clock } = this.#deps;
    // Without a database there is nothing to count; the report says then that the sweep failed.
    const isCounted = this.#isFirst && end.kind !== "failed";
    const pending = isCounted ? await journal.pendingCleanups().catch(() => 0) : 0;
    const { done, abandoned } = this.#afterVerdicts.summary;
    return makeReport({
      end,
      dryRun: false,
      trigger: this.#request.trigger,
      holder: this.#options.holder,
      epoch: this.#fence.epoch,
      startedAtMs: this.#horizon.ms,
      durationMs: clock.monotonicMs() - this.#begunAtMs,
      outcomes: this.#outcomes,
      cleanups: { done, pending, abandoned },
      waiting: this.#waiting,
      named: this.#request.runIds !== null,
      ...(end.kind === "failed" ? { failure: saidBy(error) } : {}),
    });
  }
}

const UNTHROTTLED: ApiThrottle = { pausedForMs: 0, concurrency: null };
