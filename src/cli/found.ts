import type { Command } from "../commands/command.ts";

/** Told of the command that the arguments ask for. */
export type Found = (command: Command) => void;

/** Of a command that may print one JSON document; as commander names it. */
export interface JsonOption {
  readonly json?: boolean;
}
