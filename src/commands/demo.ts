import type { DemoCommand } from "../cli.ts";
import { FEWEST_RUNS, MOST_RUNS } from "../demo/cast.ts";
import { LIVE_LINES } from "../demo/live-table.ts";
import { installedBinaries, PostgresMissingError } from "../demo/postgres-binaries.ts";
import { openScreen } from "../demo/screen.ts";
import { tellStory } from "../demo/story.ts";
import { StopRequestedError } from "../watchdog/stop.ts";
import type { Surroundings } from "./surroundings.ts";

/**
 * A fleet at work, with a database and a backend of its own. Leaves nothing behind, however it ends.
 *
 * @returns 0; 1 when the fleet broke a promise; 2 when there can be no demo; 143 or 130 when it was stopped half way.
 */
export async function demo(
  { env, self, stdout, stderr }: Surroundings,
  { runs, keep }: DemoCommand,
  signal: AbortSignal,
): Promise<number> {
  if (runs < FEWEST_RUNS || runs > MOST_RUNS) {
    stderr.write(
      `run-watchdog: --runs must be from ${FEWEST_RUNS} (a run of each kind) to ${MOST_RUNS}, got ${runs}\n`,
    );
    return 2;
  }
  const screen = openScreen(stdout, LIVE_LINES);
  try {
    installedBinaries();
    screen.print([`run-watchdog demo: ${runs} runs, two watchdogs, one database`, ""]);
    const failed = await tellStory({ runs, keep, program: { self, env }, screen }, signal);
    screen.print(["", "Everything is stopped, and nothing is left behind."]);
    for (const { text } of failed) stderr.write(`run-watchdog: a check failed: ${text}\n`);
    return failed.length === 0 ? 0 : 1;
  } catch (error) {
    // Whatever broke after that broke because of it.
    if (signal.reason instanceof StopRequestedError) {
      screen.print(["", `${signal.reason.message}, and nothing is left behind`]);
      return signal.reason.signal === "SIGTERM" ? 143 : 130;
    }
    if (!(error instanceof PostgresMissingError)) throw error;
    stderr.write(`run-watchdog: ${error.message}\n`);
    return 2;
  }
}
