/** One term of holding the lease: its loop of renewals, its trust and its end. The rules stand in acquire.ts. */
import {
  type LeaseTiming,
  leaseRenewAtMs,
  leaseRenewalRetryAtMs,
  leaseTrustedUntilMs,
} from "../../rules/timing.ts";
import { withDeadline } from "../concurrency/deadline.ts";
import { LeaseLostError, LeaseUnavailableError } from "../errors.ts";
import type { Clock, Lease, Log, Random } from "../ports.ts";

export interface LeaseDeps {
  readonly lease: Lease;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

export interface LeaseOptions extends LeaseTiming {
  readonly installation: string;
  /** Who we are, for people: `host/pid/random`. */
  readonly holder: string;
  /** How long a term may go on without a call of `progress`. */
  readonly progressTimeoutMs: number;
}

/** What `acquireTerm` knows about the acquire that succeeded. */
export interface TermStart {
  readonly value: string;
  /** Monotonic, before the command was sent. */
  readonly sentAtMs: number;
  /** Ends the term when it aborts; not aborted yet. */
  readonly parent: AbortSignal;
}

/** The right to sweep, from an acquire to its end. */
export class LeaseTerm {
  /** Names this term and no other: holder and token. */
  readonly value: string;
  readonly #deps: LeaseDeps;
  readonly #options: LeaseOptions;
  readonly #parent: AbortSignal;
  readonly #controller = new AbortController();
  #trustedUntilMs: number;
  #renewAtMs: number;
  #progressedAtMs: number;
  /** False once the store has said that the lease is not ours. */
  #mayHold = true;
  /** The renewal on its way: at most one. */
  #renewal: Renewal | null = null;
  /** Why the newest renewal failed; `undefined` after one that did not. */
  #failure: unknown;
  #released: Promise<void> | null = null;

  private constructor(deps: LeaseDeps, options: LeaseOptions, start: TermStart) {
    this.value = start.value;
    this.#deps = deps;
    this.#options = options;
    this.#parent = start.parent;
    this.#trustedUntilMs = leaseTrustedUntilMs(start.sentAtMs, options);
    this.#renewAtMs = leaseRenewAtMs(start.sentAtMs, options);
    this.#progressedAtMs = deps.clock.monotonicMs();
  }

  /** For `acquireTerm`: a term that is held by now, with its renewals under way. */
  static start(deps: LeaseDeps, options: LeaseOptions, start: TermStart): LeaseTerm {
    const term = new LeaseTerm(deps, options, start);
    start.parent.addEventListener("abort", term.#followParent, { once: true });
    void term.#keep();
    return term;
  }

  /** Aborts when the term ends, with LeaseLostError or with the parent's reason. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Monotonic; moves on with every confirmed renewal. */
  get trustedUntilMs(): number {
    return this.#trustedUntilMs;
  }

  /**
   * To be called directly before every write, without an await in between. Right even when the event loop was blocked
   * and no timer could fire.
   *
   * @throws LeaseLostError, or the parent's reason, when the term has ended.
   */
  check(): void {
    this.#endWhenDue();
    this.signal.throwIfAborted();
  }

  /** A statement or a step has finished: the work moves on. */
  progress(): void {
    this.#progressedAtMs = this.#deps.clock.monotonicMs();
  }

  /**
   * Ends the term and gives the lease back, with one attempt: what fails expires by itself. Call it when no write is
   * in flight any more. Never rejects; safe to call again.
   */
  release(): Promise<void> {
    this.#released ??= this.#release();
    return this.#released;
  }

  async #release(): Promise<void> {
    this.#end(new LeaseLostError("the lease was released"));
    if (!this.#mayHold) return;
    const { lease, log } = this.#deps;
    try {
      await lease.release(this.#options.installation, this.value);
    } catch (error) {
      log.warn({ err: error }, "releasing the lease failed");
    }
  }

  /** Runs as long as the term; the only place where a renewal's failure arrives. */
  async #keep(): Promise<void> {
    while (!this.signal.aborted) {
      try {
        await this.#step();
      } catch (error) {
        this.#stepFailed(error);
      }
      this.#endWhenDue();
    }
  }

  /** Sends a renewal when it is due, then waits for its answer or for the next moment that matters. */
  async #step(): Promise<void> {
    const { clock } = this.#deps;
    const nowMs = clock.monotonicMs();
    if (nowMs >= this.#renewAtMs) this.#renewal ??= this.#sendRenewal(nowMs);
    const renewal = this.#renewal;
    const renewAtMs = renewal === null ? this.#renewAtMs : Number.POSITIVE_INFINITY;
    const wakeAtMs = Math.min(renewAtMs, this.#trustedUntilMs, this.#progressUntilMs);
    const waitMs = wakeAtMs - nowMs;
    if (renewal === null) return await clock.sleep(waitMs, this.signal);
    const ours = await withDeadline(clock, waitMs, () => renewal.answer, this.signal);
    if (ours.kind === "done") this.#renewalAnswered(renewal, ours.value);
  }

  #sendRenewal(sentAtMs: number): Renewal {
    const { installation, ttlMs } = this.#options;
    return { sentAtMs, answer: this.#deps.lease.renew(installation, this.value, ttlMs) };
  }

  #renewalAnswered(renewal: Renewal, ours: boolean): void {
    this.#renewal = null;
    if (!ours) {
      this.#mayHold = false;
      this.#lose("the store does not hold the lease under our name any more");
      return;
    }
    // Trust that has run out is not revived, although this answer was already there when the loop got to run.
    this.#endWhenDue();
    if (this.signal.aborted) return;
    this.#failure = undefined;
    this.#trustedUntilMs = leaseTrustedUntilMs(renewal.sentAtMs, this.#options);
    this.#renewAtMs = leaseRenewAtMs(renewal.sentAtMs, this.#options);
  }

  #stepFailed(error: unknown): void {
    // The end of a term interrupts its waiting.
    if (this.signal.aborted) return;
    const renewal = this.#renewal;
    this.#renewal = null;
    if (renewal === null || !(error instanceof LeaseUnavailableError)) {
      this.#lose("keeping the lease failed unexpectedly", error);
      return;
    }
    const level = this.#failure === undefined ? "warn" : "debug";
    this.#failure = error;
    this.#renewAtMs = leaseRenewalRetryAtMs(renewal.sentAtMs);
    const trustedForMs = Math.round(this.#trustedUntilMs - this.#deps.clock.monotonicMs());
    this.#deps.log[level]({ err: error, trustedForMs }, "renewing the lease failed");
  }

  #endWhenDue(): void {
    const nowMs = this.#deps.clock.monotonicMs();
    if (nowMs >= this.#trustedUntilMs) {
      this.#lose("the lease was not renewed in time", this.#failure);
    } else if (nowMs >= this.#progressUntilMs) {
      this.#lose(`no progress for ${this.#options.progressTimeoutMs / 1000} s`);
    }
  }

  get #progressUntilMs(): number {
    return this.#progressedAtMs + this.#options.progressTimeoutMs;
  }

  #lose(reason: string, cause?: unknown): void {
    if (this.signal.aborted) return;
    const error = new LeaseLostError(reason, cause === undefined ? {} : { cause });
    this.#deps.log.warn({ err: error }, "lease lost");
    this.#end(error);
  }

  #end(reason: unknown): void {
    this.#parent.removeEventListener("abort", this.#followParent);
    this.#controller.abort(reason);
  }

  readonly #followParent = (): void => this.#end(this.#parent.reason);
}

interface Renewal {
  readonly sentAtMs: number;
  readonly answer: Promise<boolean>;
}
