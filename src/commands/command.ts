/** What was asked for on the command line. */
import type { Basis } from "../rules/model.ts";

export type Output = "human" | "json" | "github";

export interface OnceCommand {
  readonly name: "once";
  readonly dryRun: boolean;
  /** `null`: every stale run. */
  readonly runIds: readonly string[] | null;
  readonly limit: number | null;
  /** How long to wait for the lease. */
  readonly waitMs: number;
  /** Why confirmed presumptions may pass the guard; `null` leaves it in force. */
  readonly overrideReason: string | null;
  readonly output: Output;
}

export interface MigrateCommand {
  readonly name: "migrate";
  readonly check: boolean;
  readonly withHostTables: boolean;
}

export interface GrantsCommand {
  readonly name: "grants";
  /** Who is to be granted what a worker needs. */
  readonly role: string;
}

export interface DoctorCommand {
  readonly name: "doctor";
  readonly json: boolean;
}

export interface ConfigCommand {
  readonly name: "config";
  readonly json: boolean;
}

export interface PauseCommand {
  readonly name: "pause";
  readonly forMs: number;
  /** On one line. */
  readonly reason: string;
  /** Who says so; `null`: the user of the process. */
  readonly by: string | null;
}

export interface ResumeCommand {
  readonly name: "resume";
  readonly by: string | null;
}

export interface StatusCommand {
  readonly name: "status";
  readonly json: boolean;
}

export interface HistoryCommand {
  readonly name: "history";
  /** `null` where it does not matter. */
  readonly runId: string | null;
  readonly sinceMs: number | null;
  readonly basis: Basis | null;
  readonly outcome: "COMPLETED" | "FAILED" | null;
  readonly overturned: boolean;
  readonly limit: number;
  readonly json: boolean;
}

export interface ExplainCommand {
  readonly name: "explain";
  readonly runId: string;
  readonly json: boolean;
}

export type Command =
  | { readonly name: "run" }
  | { readonly name: "healthcheck" }
  | DoctorCommand
  | ConfigCommand
  | OnceCommand
  | MigrateCommand
  | GrantsCommand
  | PauseCommand
  | ResumeCommand
  | StatusCommand
  | HistoryCommand
  | ExplainCommand;
