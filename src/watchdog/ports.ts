/**
 * What the work needs from the outside, and what it may rely on. Implementations live in io/.
 *
 * Every call settles within a bound of its own. Calls that take a `Fence` run its check synchronously, directly before
 * the statement leaves the process, and reject with what the check threw; nothing was sent then.
 */
import type { Evidence, RunSnapshot } from "../rules/model.ts";

export interface Clock {
  /** Wall time: to show, never to decide or to store. */
  now(): Date;
  /** For deadlines and durations; never steps back. */
  monotonicMs(): number;
  /** Rejects with `signal.reason`, at once when it is aborted already. */
  sleep(ms: number, signal: AbortSignal): Promise<void>;
}

/** When to sweep. */
export interface Schedule {
  /** Calls `onTick` at every time of the schedule, until the returned function is called. */
  start(onTick: () => void): () => void;
  nextAt(): Date;
  /** The distance between the ticks before and after now. */
  intervalMs(): number;
  /** How long ago the `count`th tick before now was; varies with the distances of an uneven schedule. */
  sinceTickMs(count: number): number;
}

export interface Random {
  /** A random opaque token, safe in keys and logs. */
  token(): string;
  /** Uniform in [0, 1). */
  fraction(): number;
}

/** pino's shape, as far as it is used. */
export interface Log {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** The right to write: an epoch and the trust that it still holds. */
export interface Fence {
  readonly epoch: number;
  /** @throws LeaseLostError or the abort reason when the holder may no longer write. */
  check(): void;
}

export interface CleanupTarget {
  readonly sandboxId: string;
  readonly userId: string | null;
  readonly orgId: string | null;
}

/**
 * `absent`: the API does not know it, which is no proof that it is gone. `not-asked`: nothing was sent, because the API
 * wants no deletions for so long; with `everybody: false`, none of this owner's.
 */
export type CleanupResult =
  | { readonly kind: "deleted" }
  | {
      readonly kind: "not-asked";
      readonly reason: string;
      readonly retryAfterMs: number;
      readonly everybody?: boolean;
    }
  | { readonly kind: "absent"; readonly failure: string }
  | { readonly kind: "failed"; readonly failure: string; readonly retryAfterMs: number | null };

/** `absent`: there is nothing to pause that the API knows of. */
export type PauseResult = { readonly kind: "paused" } | Exclude<CleanupResult, { kind: "deleted" }>;

/** How hard an API may be asked, as it asked for itself. */
export interface ApiThrottle {
  /** Nothing is to be sent for so long; 0 for no pause. */
  readonly pausedForMs: number;
  /** Calls at once while that is less than configured; `null` for as many as configured. */
  readonly concurrency: number | null;
}

/** The API that all runs share, as its answers show it. Answers come from memory. */
export interface SharedApi {
  readonly throttle: ApiThrottle;
  readonly breaker: "closed" | "half-open" | "open";
  /** Why nothing is to be asked now, in fixed vocabulary; `null` when it may be. */
  readonly blockedReason: string | null;
  /** Takes over what an earlier leader was asked for; never loosens what is known here. */
  restore(throttle: ApiThrottle): void;
}

/** The ids that a host gives a run when its command begins, not before. */
export type RunIdName = "sandboxId" | "bashCommandId";

export interface Backend {
  readonly name: string;
  /** Left out where runs share no API, or nobody minds how often it is asked. */
  readonly api?: SharedApi;
  /**
   * Ids without which `verify` cannot ask anybody. A run that lacks one can tell nothing about the others, so it does
   * not serve as a control sample. None when left out.
   */
  readonly needs?: readonly RunIdName[];
  /** Whether `cleanup` can do anything; without it no deletion is ever scheduled. */
  readonly cleans: boolean;
  /** Never rejects because of the remote side: that is evidence. Rejects with `signal.reason` when aborted. */
  verify(run: RunSnapshot, signal: AbortSignal): Promise<Evidence>;
  /** Deletes a run's sandbox. Same promise about rejection. */
  cleanup(target: CleanupTarget, signal: AbortSignal): Promise<CleanupResult>;
  /**
   * Stops a sandbox that is to be deleted later. Left out where that cannot be done: no deletion is deferred then, as
   * the host defers it. Same promise about rejection.
   */
  pause?(target: CleanupTarget, signal: AbortSignal): Promise<PauseResult>;
}

export type LeaseKind = "redis" | "postgres";

export type AcquireAnswer =
  | { readonly kind: "acquired" }
  /** `expiresInMs` is `null` when the lease never expires by itself: somebody has to remove it. */
  | { readonly kind: "held"; readonly value: string | null; readonly expiresInMs: number | null };

/** The right to sweep, as a store keeps it. Each call rejects with LeaseUnavailableError when its outcome is unknown. */
export interface Lease {
  readonly kind: LeaseKind;
  /** Resolves when the store answers. */
  ping(): Promise<void>;
  /** One attempt. `value` names this term and no other. */
  acquire(installation: string, value: string, ttlMs: number): Promise<AcquireAnswer>;
  /** False when the lease is no longer held under `value`. */
  renew(installation: string, value: string, ttlMs: number): Promise<boolean>;
  /** Compare-and-delete; false when it was not held under `value`. */
  release(installation: string, value: string): Promise<boolean>;
}
