/** How to go on from here: health, and commands to copy. */
import { once } from "node:events";
import { relative } from "node:path";
import type { DemoEnvironment } from "./scenario/environment.ts";
import { INDENT, type Screen, wrapped } from "./screen/screen.ts";
import type { Program } from "./watchdogs/program.ts";
import { healthOf, type Watchdog } from "./watchdogs/watchdogs.ts";

export interface ClosingOptions {
  readonly keep: boolean;
  readonly program: Program;
  readonly screen: Screen;
}

/** With `keep` it comes back when the signal aborts. */
export async function printClosing(
  environment: DemoEnvironment,
  watchdogs: readonly Watchdog[],
  { keep, program, screen }: ClosingOptions,
  signal: AbortSignal,
): Promise<void> {
  const health = await Promise.all(watchdogs.map((watchdog) => healthLines(watchdog, signal)));
  const title = keep ? "Health:" : "Health, a moment ago (with --keep it stays up):";
  screen.print(["", title, "", ...health.flat()]);
  if (!keep) {
    screen.print(["", "Try next:", "", ...NEXT_LINES]);
    return;
  }
  screen.print(["", ...keepLines(environment, watchdogs, commandLine(program))]);
  if (!signal.aborted) await once(signal, "abort");
}

async function healthLines(watchdog: Watchdog, signal: AbortSignal): Promise<readonly string[]> {
  const { letter, healthUrl } = watchdog;
  const { status, role, reasons } = await healthOf(watchdog, signal);
  const why = reasons.flatMap((reason) => wrapped(`(${reason})`, INDENT));
  return [
    `  ${letter}  ${healthUrl}/health  ${[status, role].filter((word) => word !== "").join(", ")}`,
    ...why,
  ];
}

const NEXT_LINES = [
  "  npm run demo -- --keep         everything stays up: look around, break it",
  "  npm run demo -- --runs 1000    more runs",
];

/** Comments of the shell, so that all of it can be copied. */
function keepLines(
  environment: DemoEnvironment,
  watchdogs: readonly Watchdog[],
  self: string,
): readonly string[] {
  return [
    "Everything stays up until Ctrl-C. In another shell:",
    "",
    "  # the settings of this demo, for the commands below; its database is",
    `  # ${environment.databaseUrl}`,
    `  . ${environment.envFile}`,
    "  # what a sweep would do now, and what was written so far",
    `  ${self} once --dry-run`,
    '  psql "$DATABASE_URL" -c "SELECT outcome, basis, reason FROM watchdog.verdicts"',
    "  # without the trigger, the next sweep completes the protected run",
    '  psql "$DATABASE_URL" -c "DROP TRIGGER demo_swallow ON automation_runs"',
    ...watchdogs.slice(0, 1).flatMap(watchLines),
    "",
  ];
}

function watchLines({ healthUrl, logFile, pid, letter }: Watchdog): readonly string[] {
  return [
    `  # watchdog ${letter}: its health, its log, its end (the other one goes on)`,
    `  curl -s ${healthUrl}/health`,
    `  tail -f ${logFile}`,
    `  kill -9 ${pid}`,
  ];
}

/** To be typed where we were started; npm has changed the folder and says from which. */
function commandLine({ self, env }: Program): string {
  return self
    .map((part) => {
      const near = relative(env["INIT_CWD"] ?? "", part);
      const short = part.startsWith("/") && !near.startsWith("..") ? near : part;
      return /^[\w./:=@-]+$/.test(short) ? short : `'${short}'`;
    })
    .join(" ");
}
