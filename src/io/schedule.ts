import { Cron } from "croner";
import type { Clock, Schedule } from "../watchdog/ports.ts";

/**
 * A cron pattern in UTC, with an optional field for seconds in front. UTC is an offset here: a zone's name loads the tables
 * of all zones, 6 MB.
 */
export function cronSchedule(pattern: string, clock: Pick<Clock, "now">): Schedule {
  // Paused and without a callback it holds no timer: it only answers questions.
  const calendar = new Cron(pattern, { utcOffset: 0, paused: true });

  function nextAfter(at: Date): Date {
    const next = calendar.nextRun(at);
    if (next === null) throw new Error(`the schedule "${pattern}" has no next run`);
    return next;
  }

  return {
    start(onTick) {
      // croner fills the object it is given, so it gets one of its own.
      const ticking = new Cron(pattern, { utcOffset: 0 }, onTick);
      return () => ticking.stop();
    },
    nextAt: () => nextAfter(clock.now()),
    intervalMs() {
      const next = nextAfter(clock.now());
      const [previous] = calendar.previousRuns(1, next);
      if (previous !== undefined) return next.getTime() - previous.getTime();
      return nextAfter(next).getTime() - next.getTime();
    },
    sinceTickMs(count) {
      const now = clock.now();
      const tick = calendar.previousRuns(count, now)[count - 1];
      return tick === undefined ? Number.POSITIVE_INFINITY : now.getTime() - tick.getTime();
    },
  };
}
