/**
 * What the work needs from the outside. Implementations live in io/.
 *
 * | promise | kept in src/ | held by test/ |
 * | --- | --- | --- |
 * | A finished or changed run is never touched: the write repeats what it rests on. | io/postgres/runs/run-store.ts | defects/10-run-that-changed-is-left-alone.test.ts |
 * | A statement commits by itself, and a write never waits for a row lock. | io/postgres/connection/connection.ts | io/postgres/no-transaction.test.ts, races/row-lock.test.ts |
 * | Not knowing is not dead: without a usable answer a run stays RUNNING. | rules/verdict.ts | app/verdict-table/unreachable.test.ts |
 * | A sandbox is deleted only after our verdict has committed, also when the worker dies in between. | watchdog/cleanup/after-verdicts.ts | app/cleanup/resume.test.ts |
 * | Of two workers that believe to lead only one writes. | watchdog/lead/lease-term.ts, io/postgres/runs/run-store.ts | races/two-watchdogs.test.ts |
 * | Each stale run gets a verdict within a bound, or is reported with its cause. | watchdog/sweep/handle-run.ts | watchdog/sweep/run-trouble.test.ts |
 * | A mass failure is held back until the backend has proven life or a person decides. | rules/guard.ts, watchdog/sweep/guard-rounds.ts | watchdog/sweep/guard-rounds.test.ts |
 * | A write whose outcome is unknown is found out before it is repeated. | watchdog/sweep/resolve-write.ts | watchdog/sweep/resolve-write.test.ts |
 * | A call that is answered is progress; a leader without progress gives the lease up. | watchdog/port-calls.ts, watchdog/lead/lease-term.ts | watchdog/port-calls.test.ts, watchdog/lead/lease-term.test.ts |
 * | A call ends within a bound of its own. | io/postgres/connection/pool.ts, io/http/client.ts, io/redis/connection.ts | io/postgres/substrate/half-open.test.ts, io/http/client.test.ts, io/redis/outages.test.ts |
 * | A call with a `Fence` checks it synchronously before the statement leaves; when the check throws, nothing was sent. | io/postgres/connection/pool.ts | io/postgres/runs/run-write-refusals.test.ts |
 * | A backend never rejects because of the remote side. | io/openhands/cloud.ts, io/generic-http/generic-http.ts, io/custom-backend/custom-backend.ts | io/custom-backend/custom-backend.test.ts |
 */
import type { ClockReading } from "../rules/clock-skew.ts";
import type { Evidence, RunSnapshot } from "../rules/model.ts";

export interface Clock {
  /** Wall time: to show, never to decide or to store. */
  now(): Date;
  /** For deadlines and durations; never steps back. */
  monotonicMs(): number;
  /** Rejects with `signal.reason`, at once when it is aborted already. */
  sleep(ms: number, signal: AbortSignal): Promise<void>;
  /** Calls `fire` once when so much time has passed, unless what it returns was called by then. */
  after(ms: number, fire: () => void): () => void;
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

/** Of a span: ids, numbers and fixed words; never an address, a secret or a tenant's text. */
export type SpanAttributes = Readonly<Record<string, string | number | boolean>>;

export interface SpanStart {
  readonly name: string;
  /** `client`: another system is asked, and nothing below is ours to tell; `internal`: there may be spans below it. */
  readonly kind: "internal" | "client";
  readonly attributes: SpanAttributes;
}

export interface SpanEnd {
  readonly attributes?: SpanAttributes;
  /** In fixed vocabulary; `null` when the work did what it was for. */
  readonly errorType: string | null;
}

export interface Tracer {
  /**
   * Does the work inside a span, once, whatever becomes of the span: the result and what is thrown are those of the
   * work.
   */
  span<T>(start: SpanStart, work: () => Promise<T>, endOf: (result: T) => SpanEnd): Promise<T>;
}

export interface Tracing {
  /** Looks whether anybody listens; `null` when nobody does. Never rejects. */
  tracer(): Promise<Tracer | null>;
}

/** The right to write: an epoch and the trust that it still holds. */
export interface Fence {
  /** Whose epoch it is. */
  readonly shard: number;
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

/** How often an API may be asked, as its answers demand. */
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
  /** Why nothing may be asked now, in fixed vocabulary; `null` when it may. */
  readonly blockedReason: string | null;
  /** Its clock, as its last answer that told the time showed it; left out or `null` where none did. */
  readonly clock?: ClockReading | null;
  /** Takes over the throttle of an earlier leader; never loosens what is known here. */
  restore(throttle: ApiThrottle): void;
}

/** The ids that a host gives a run when its command begins, not before. */
export type RunIdName = "sandboxId" | "bashCommandId";

export interface Backend {
  readonly name: string;
  /** Left out where runs share no API, or one without limits. */
  readonly api?: SharedApi;
  /**
   * Told that this process leads so many of `count` shards: what the fleet may ask of a shared API is divided by them.
   * Left out where there is nothing to divide.
   */
  share?(held: number, count: number): void;
  /**
   * Ids without which `verify` can send no question. A run that lacks one is not used as a control run. None when left
   * out.
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
  /** `expiresInMs` is `null` when the lease never expires by itself: a person has to remove it. */
  | { readonly kind: "held"; readonly value: string | null; readonly expiresInMs: number | null };

/** The right to sweep one shard, the first one unless it says otherwise, as a store keeps it. Each call rejects with LeaseUnavailableError when its outcome is unknown. */
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
  /** The store's clock; `null` where it does not tell. Never rejects. Left out where it is the clock of Postgres. */
  clock?(): Promise<ClockReading | null>;
  /** The lease of another shard, kept in the same store. */
  ofShard(index: number): Lease;
}
