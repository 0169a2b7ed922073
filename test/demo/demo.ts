import type { Stdout } from "../../src/app/stdout.ts";
import { StopRequestedError } from "../../src/watchdog/errors.ts";
import { installedBinaries, PostgresMissingError } from "../services/postgres/postgres-binaries.ts";
import { FEWEST_RUNS, MOST_RUNS } from "./cast.ts";
import { LIVE_LINES } from "./live-table.ts";
import type { Program } from "./program.ts";
import { openScreen } from "./screen.ts";
import { tellStory } from "./story.ts";

export interface DemoOptions {
  readonly runs: number;
  readonly keep: boolean;
}

/**
 * A fleet at work, with a database and a backend of its own. Leaves nothing behind, however it ends.
 *
 * @returns 0; 1 when the fleet broke a promise; 2 when there can be no demo; 143 or 130 when it was stopped half way.
 */
export async function demo(
  {
    env,
    self,
    stdout,
    stderr,
  }: Program & { readonly stdout: Stdout; readonly stderr: NodeJS.WriteStream },
  { runs, keep }: DemoOptions,
  signal: AbortSignal,
): Promise<number> {
  if (runs < FEWEST_RUNS || runs > MOST_RUNS) {
    stderr.write(
      `demo: --runs must be from ${FEWEST_RUNS} (a run of each kind) to ${MOST_RUNS}, got ${runs}\n`,
    );
    return 2;
  }
  const screen = openScreen(stdout, LIVE_LINES);
  try {
    installedBinaries();
    screen.print([`run-watchdog demo: ${runs} runs, two watchdogs, one database`, ""]);
    const failed = await tellStory({ runs, keep, program: { self, env }, screen }, signal);
    screen.print(["", "Everything is stopped, and nothing is left behind."]);
    for (const { text } of failed) stderr.write(`demo: a check failed: ${text}\n`);
    return failed.length === 0 ? 0 : 1;
  } catch (error) {
    // Whatever broke after that broke because of it.
    if (signal.reason instanceof StopRequestedError) {
      screen.print(["", `${signal.reason.message}, and nothing is left behind`]);
      return signal.reason.signal === "SIGTERM" ? 143 : 130;
    }
    if (!(error instanceof PostgresMissingError)) throw error;
    stderr.write(`demo: ${error.message}\n`);
    return 2;
  }
}
