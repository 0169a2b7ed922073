/** What has to hold after every sweep of a replay. */
import type { Sql } from "postgres";
import type { FakeHost } from "../../fake-host/fake-host.ts";
import { hardDeadlineMs, type Job, SAID } from "./jobs.ts";
import { HOUR_MS, MINUTE_MS } from "./time.ts";

const LONGEST_DISTANCE_MS = 15 * MINUTE_MS;
const UNVERIFIABLE_AFTER_MS = 24 * HOUR_MS;
const GUARD_PER_HOUR = 60;

/** From when on its verdict can be expected. */
function dueAtMs({ spec }: Job): number {
  return Math.max(spec.deadlineAtMs, spec.truth.atMs);
}

/** In quiet times: deadline + 2 intervals + one sweep. Who is alive at the deadline has until two intervals after the end. */
export function normally(job: Job): number {
  return dueAtMs(job) + 2 * MINUTE_MS;
}

/** After lies everybody has been asked in every sweep, so from the minute of the truth on times are quiet again. */
export function onceTrue(minute: number): (job: Job) => number {
  return (job) => Math.max(normally(job), (minute + 2) * MINUTE_MS);
}

/**
 * After silence: a question that was the last to get no answer is asked again after the longest distance at most, with
 * the tick after that. What is presumed has to be seen once more, with the next one.
 */
export function onceAnswered(minute: number): (job: Job) => number {
  return (job) => Math.max(normally(job), minute * MINUTE_MS + afterDistanceMs(job));
}

/** While questions are refused to some: who comes back from a distance is asked first, and not refused again. */
export function onceRefused(job: Job): number {
  return dueAtMs(job) + afterDistanceMs(job);
}

function afterDistanceMs({ spec }: Job): number {
  const looks = spec.truth.kind === "dies" ? 2 : 1;
  return LONGEST_DISTANCE_MS + looks * MINUTE_MS;
}

/** Whatever happens: hard deadline + the longest wait + the longest distance + the backlog at the guard's pace. */
function atWorst(job: Job, backlog: number): number {
  const pacedMs = (backlog / GUARD_PER_HOUR) * HOUR_MS;
  return hardDeadlineMs(job) + UNVERIFIABLE_AFTER_MS + LONGEST_DISTANCE_MS + pacedMs;
}

export interface RunState {
  readonly id: string;
  readonly status: string;
  readonly error: string | null;
}

export async function readRuns(sql: Sql): Promise<ReadonlyMap<string, RunState>> {
  const rows = await sql<RunState[]>`
    SELECT id, status, error_detail AS error FROM automation_runs`;
  return new Map(rows.map((row) => [row.id, row]));
}

/** What the host's own watchdog says about a command that its server ended. */
const KILLED = "Timed out: command timed out or was killed";

/** @returns what is wrong about what became of a run, or `null`. */
export function wrongEnd(
  job: Job,
  { status, error }: RunState,
  nowMs: number,
  host: FakeHost,
): string | null {
  const { truth } = job.spec;
  const isAlive = truth.atMs > nowMs;
  if (isAlive && host.sandbox(job.sandboxId) === undefined) return "a living run lost its sandbox";
  if (status === "RUNNING") return null;
  const ended = `its run is ${status}: ${error}`;
  if (isAlive) return `a job is alive, and ${ended}`;
  if (truth.kind === "dies") {
    const isRight = status === "FAILED" && error?.startsWith("Timed out: ");
    return isRight ? null : `a job is dead, and ${ended}`;
  }
  const { exitCode, callback } = truth;
  const says = callback ? SAID : exitCode === -1 ? KILLED : `exit_code=${exitCode}`;
  const isRight = exitCode === 0 ? status === "COMPLETED" : status === "FAILED" && error === says;
  return isRight ? null : `a job ended with exit code ${exitCode}, and ${ended}`;
}

/**
 * Of somebody who had no verdict before this sweep, or has none yet. The next sweep comes a minute from now. What a
 * callback ends is the host's business.
 *
 * @returns who has waited too long, or `null`.
 */
export function delay(
  job: Job,
  { status }: RunState,
  nowMs: number,
  judgedByMs: number,
  backlog: number,
): string | null {
  const { truth } = job.spec;
  if (truth.kind === "ends" && truth.callback) return null;
  const boundMs = Math.min(judgedByMs, atWorst(job, backlog));
  const decidedAtMs = status === "RUNNING" ? nowMs + MINUTE_MS : nowMs;
  if (decidedAtMs <= boundMs) return null;
  const [minute, due] = [truth.atMs / MINUTE_MS, boundMs / MINUTE_MS];
  return `a job that ${truth.kind} at minute ${minute} is ${status}, due by ${due}`;
}
