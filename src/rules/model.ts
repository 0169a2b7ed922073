/** The types of the domain: what a run is, what can be learned about it, and what can be done. */

/** A run as the database showed it right before the backend is asked. */
export interface RunSnapshot {
  readonly id: string;
  readonly automationId: string;
  readonly userId: string | null;
  readonly orgId: string | null;
  readonly status: string;
  /** Past its deadline when compared with the sweep's horizon. */
  readonly stale: boolean;
  /** As PostgreSQL writes it into JSON, with microseconds: guards compare it exactly. */
  readonly timeoutAt: string | null;
  /** The deadline that it had before anybody deferred it, Unix milliseconds with fractions. */
  readonly firstDeadlineMs: number;
  readonly sandboxId: string | null;
  readonly bashCommandId: string | null;
  /** `coalesce(started_at, created_at)`, written like `timeoutAt`: which attempt it is that the row is about. */
  readonly beganAt: string | null;
  /** The same as Unix milliseconds with fractions: microseconds count. */
  readonly beganAtMs: number;
  /** The automation's own timeout in seconds; `null` means the service's default. */
  readonly timeoutS: number | null;
  /** Whether the automation keeps its sandbox: then nothing is deleted. */
  readonly keepAlive: boolean;
  /** Whether the automation may still be waiting for its first outcome to be recorded. */
  readonly firstRunOpen: boolean;
  /** The stored `status_detail`, parsed; `null` for SQL NULL, JSON null and what cannot be parsed. */
  readonly statusDetail: unknown;
  /** What earlier sweeps made of this attempt; `null` for nothing, or when its start, sandbox or command is another. */
  readonly suspicion: Suspicion | null;
  /** Whether anything is remembered of the run, also of another attempt. */
  readonly isRemembered: boolean;
  /** The database's clock when the row was read: ISO 8601, UTC, microseconds, `+00:00`. */
  readonly readAt: string;
}

/** What is noted about a run that stays RUNNING past its deadline. Each counter is cleared by something else. */
export interface Suspicion {
  /** How often a presumption was seen, each observation at least one deferral after the one before. */
  readonly presumedTimes: number;
  readonly presumedReason: string | null;
  /** Since the last observation that counted, by the database's clock when the row was read; `null` for never. */
  readonly sincePresumedMs: number | null;
  /** Inconclusive answers in a row. */
  readonly unknownTimes: number;
  /** When the first of them came, Unix milliseconds; `null` when there is none. */
  readonly unknownSinceMs: number | null;
  /** Failed attempts to handle it, without a success in between. */
  readonly errorTimes: number;
}

/** Why a question got no usable answer. Texts hold neither addresses nor anything a tenant wrote. */
export interface Failure {
  /** Which system was asked: `sandbox_api`, `agent_server`, `service_api`, `verify_endpoint`, `backend`. */
  readonly source: string;
  /** What it was asked: `get_sandbox`, `bash_events_search`, `mint_api_key`, `verify`. */
  readonly operation: string;
  /** The host's vocabulary for `status_detail.kind`. */
  readonly kind: "rate_limited" | "timeout" | "transport" | "server_error" | "unknown";
  readonly statusCode: number | null;
  readonly message: string;
  /** What a Retry-After header asked for; `null` without one. */
  readonly retryAfterMs: number | null;
}

/** Why there is nothing left that could answer for a run. */
export const GONE_REASONS = [
  "no-record",
  "missing",
  "paused",
  "error",
  "no-agent-server",
  "no-sandbox-id",
  /** The sandbox runs, and its agent server knows nothing of the run's command. */
  "command-unknown",
  /** The sandbox runs, but its agent server is younger than the run's command, which died with the one before. */
  "server-restarted",
] as const;

export type GoneReason = (typeof GONE_REASONS)[number];

/** What the backend said about a run. `unreachable` and `malformed` mean "cannot tell". */
export type Evidence =
  | {
      readonly kind: "exited";
      readonly exitCode: number;
      readonly stdout: string;
      readonly stderr: string;
    }
  /** Proof of failure without an exit code; only the generic HTTP backend says so. */
  | {
      readonly kind: "failed";
      readonly detail: string;
      readonly stdout: string;
      readonly stderr: string;
    }
  /** `none` only where the backend looked for output; it decides the wording at the hard deadline. */
  | { readonly kind: "running"; readonly output: "none" | "partial" }
  | { readonly kind: "starting" }
  | { readonly kind: "gone"; readonly reason: GoneReason }
  /** The run is lost, for a reason of the backend's own. */
  | { readonly kind: "gone"; readonly reason: "lost"; readonly detail: string }
  /** The row does not say which command to look for. */
  | {
      readonly kind: "no-command";
      /** `running`: the sandbox was asked for and runs. `not-asked`: nothing could be asked without a command. */
      readonly sandbox: "running" | "not-asked";
    }
  | { readonly kind: "unreachable"; readonly failure: Failure }
  | { readonly kind: "malformed"; readonly failure: Failure }
  /** Nothing was sent: the API that all runs share is not to be asked now. */
  | { readonly kind: "not-asked"; readonly reason: string };

/** `proof` rests on an exit code or an explicit failure; everything else is a presumption. */
export type Basis = "proof" | "presumption";

export type Verdict =
  | { readonly kind: "complete"; readonly basis: "proof"; readonly reason: string }
  | {
      readonly kind: "fail";
      readonly basis: Basis;
      /** Fixed vocabulary, never a tenant's text: for journal, report and log. */
      readonly reason: string;
      readonly errorDetail: string;
      /** JSON text in the host's shape. */
      readonly statusDetail: string;
      /** Whether it has to be seen several times before it counts. */
      readonly needsConfirmation: boolean;
    }
  | {
      readonly kind: "defer";
      readonly reason: string;
    }
  | { readonly kind: "undetermined"; readonly reason: string; readonly statusDetail: string }
  | { readonly kind: "skip"; readonly reason: string };

/** The times a verdict depends on. All in milliseconds, defaults in config.ts. */
export interface VerdictPolicy {
  readonly defaultRunMs: number;
  readonly maxRunMs: number;
  readonly readyTimeoutMs: number;
  readonly hardGraceMs: number;
  /** Without a usable answer for so long, and past the hard deadline, a run is given up. */
  readonly unverifiableAfterMs: number;
}

/** What became of one run in one sweep. */
export type Action =
  | "completed"
  | "failed"
  | "deferred"
  | "suspected"
  | "undetermined"
  | "lost-race"
  | "busy"
  | "held"
  | "skipped"
  | "error";

export type Trigger = "cron" | "once";
