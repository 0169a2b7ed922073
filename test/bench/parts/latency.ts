/**
 * Answers take their time, and each run needs two of them, one after the other: nothing is faster than
 * ceil(runs / at once) times two answers.
 */
import { SETTINGS } from "../../../src/config/env/settings.ts";
import { seedFleet, verdictsTookMs } from "../fleet.ts";
import { backendEnv, startBackend } from "../processes/backend.ts";
import { sweepOnce } from "../processes/worker.ts";
import type { Part } from "./part.ts";

const RUNS = 5000;
const ANSWER_MS = 1000;
const ANSWERS_PER_RUN = 2;
const HOUR_MS = 3_600_000;
const WANTED_AT_ONCE = 512;

export const LATENCY: Part = {
  name: "latency",
  title:
    "latency-bound: cloud mode, 1 s per answer, against the floor that two answers per run set",
  async measure({ place, options }) {
    const runs = options.runs ?? RUNS;
    const answerMs = options.answerMs ?? ANSWER_MS;
    const wanted = options.atOnce ?? WANTED_AT_ONCE;
    const allowed = SETTINGS.WATCHDOG_CONCURRENCY.max;
    const atOnce = Math.min(wanted, allowed);
    await using database = await place.createDatabase();
    await using backend = await startBackend(answerMs);
    await seedFleet(database.sql, { stale: runs });
    const { report, cpuMs, peakMb } = await sweepOnce(
      {
        DATABASE_URL: database.url,
        WATCHDOG_CONCURRENCY: String(atOnce),
        WATCHDOG_API_CONCURRENCY: String(atOnce),
        ...backendEnv("cloud", backend.url),
      },
      runs,
    );
    const floorMs = floorOf(runs, atOnce, answerMs);
    const verdictsMs = await verdictsTookMs(database.sql);
    return {
      figures: [
        { name: "runs", value: runs, unit: "" },
        { name: "at once", value: atOnce, unit: "" },
        { name: "an answer takes", value: answerMs / 1000, unit: "s" },
        { name: "floor: waves x 2 answers", value: floorMs / 1000, unit: "s" },
        { name: "last verdict after", value: verdictsMs / 1000, unit: "s" },
        { name: "by the floor", value: verdictsMs / floorMs, unit: "", limit: { atMost: 1.1 } },
        { name: "at this pace", value: (runs / verdictsMs) * HOUR_MS, unit: "runs/h" },
        { name: "sweep with its deletions", value: report.durationMs / 1000, unit: "s" },
        { name: "CPU of 1,000 runs, deletions and start included", value: cpuMs / runs, unit: "s" },
        { name: "resident memory, peak", value: peakMb, unit: "MB" },
      ],
      notes: [
        "the first answers wait for the keys of their users, which takes one answer more",
        ...(atOnce < wanted
          ? [`${wanted} at once were wanted, WATCHDOG_CONCURRENCY allows ${allowed}`]
          : []),
      ],
    };
  },
};

/** Milliseconds. */
function floorOf(runs: number, atOnce: number, answerMs: number): number {
  return Math.ceil(runs / atOnce) * ANSWERS_PER_RUN * answerMs;
}
