/** What was asked for on the command line. */

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

export type Command =
  | { readonly name: "run" }
  | { readonly name: "healthcheck" }
  | OnceCommand
  | MigrateCommand;
