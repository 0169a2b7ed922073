import { Cron } from "croner";
import { type EnvReader, quoted } from "./env/env-reader.ts";

export interface ScheduleConfig {
  /** croner's syntax: five fields, or six with seconds first, or a nickname such as `@hourly`. UTC. */
  readonly pattern: string;
}

export function readSchedule(reader: EnvReader): ScheduleConfig {
  const pattern = reader.text("WATCHDOG_SCHEDULE");
  const problem = whatIsWrong(pattern);
  if (problem !== null) {
    reader.problem(
      "WATCHDOG_SCHEDULE",
      `must be a cron pattern such as "* * * * *" (five fields, or six with seconds first, UTC), got ${quoted(pattern)} (${problem})`,
    );
  }
  return { pattern };
}

// The distance between runs varies: with */40 in the seconds field it is 20 and 40 seconds.
export function shortestIntervalMs(pattern: string): number {
  const times = parse(pattern)
    .nextRuns(RUNS_TO_COMPARE, ANY_DAY)
    .map((run) => run.getTime());
  return Math.min(...times.slice(1).map((time, index) => time - (times[index] ?? 0)));
}

// Minutes and hours wrap within this many runs of any pattern that is dense enough to matter.
const RUNS_TO_COMPARE = 64;

// Patterns hold no year, so any day will do; a fixed one makes the same environment parse the same way every day.
const ANY_DAY = new Date(Date.UTC(2024, 0, 1));

function whatIsWrong(pattern: string): string | null {
  try {
    const cron = parse(pattern);
    // croner also takes an ISO date, for a job that runs once.
    if (cron.getPattern() === undefined) return "a date would run only once";
    return cron.nextRun(ANY_DAY) === null ? "there is no such day" : null;
  } catch (error) {
    // croner quotes the pattern as it is; a message stays on one line.
    return error instanceof Error
      ? error.message.replace(/\p{Cc}/gu, " ")
      : "croner cannot read it";
  }
}

/** Without a callback no timer is started. croner writes into its options: give it a fresh object each time. */
function parse(pattern: string): Cron {
  return new Cron(pattern, { utcOffset: 0, mode: "5-or-6-parts", paused: true });
}
