/** What is true about the runs of a replay, whatever anybody is told about them. Times are ms since the replay's start. */
import { completeRun } from "../../fake-host/callback.ts";
import type { SandboxStatus } from "../../fake-host/model.ts";
import { type SeededAutomation, type SeededRun, seedRuns } from "../../fake-host/seed.ts";
import { exitedWith, type World } from "../world/world.ts";
import { MINUTE_MS } from "./time.ts";

export type Truth =
  /** Works until then; with a callback the host hears of it at once and deletes the sandbox, as it does. */
  | {
      readonly kind: "ends";
      readonly atMs: number;
      readonly exitCode: number;
      readonly callback: boolean;
    }
  /**
   * Works until then, and nobody will ever learn what came of it. `removed`: the host forgets the sandbox; `endless`: the
   * command goes on, but its time is up.
   */
  | {
      readonly kind: "dies";
      readonly atMs: number;
      readonly sandbox: Death;
    };

type Death = Exclude<SandboxStatus, "RUNNING" | "STARTING"> | "removed" | "endless";

export interface JobSpec {
  readonly startedAtMs: number;
  readonly deadlineAtMs: number;
  readonly truth: Truth;
  /** The automation's own timeout in seconds; default: the service's. */
  readonly timeoutS?: number;
  /** An owner that others have as well; default: one of its own. */
  readonly of?: SeededAutomation;
}

export interface Job extends SeededRun {
  readonly sandboxId: string;
  readonly spec: JobSpec;
}

export class ReplayJobs {
  readonly #world: World;
  readonly #all: Job[] = [];
  #toHappen: Job[] = [];

  constructor(world: World) {
    this.#world = world;
  }

  get all(): readonly Job[] {
    return this.#all;
  }

  async add(nowMs: number, specs: readonly JobSpec[]): Promise<readonly Job[]> {
    const runs = await seedRuns(
      this.#world.database.sql,
      specs.map(({ startedAtMs, deadlineAtMs, timeoutS, of }) => ({
        startedAgoMs: nowMs - startedAtMs,
        overdueMs: nowMs - deadlineAtMs,
        automation: { timeoutS: timeoutS ?? null },
        ...(of === undefined ? {} : { of }),
      })),
    );
    const added = runs.map((run, index) => jobOf(run, specs[index]));
    for (const { sandboxId: id, userId, orgId, bashCommandId } of added) {
      const commands = [{ id: bashCommandId ?? "" }];
      this.#world.host.addSandbox({ id, userId, orgId, commands });
    }
    this.#all.push(...added);
    this.#toHappen.push(...added);
    return added;
  }

  /** Lets happen what is due by now. */
  async happen(nowMs: number): Promise<void> {
    const isDue = ({ spec }: Job) => spec.truth.atMs <= nowMs;
    const due = this.#toHappen.filter(isDue);
    this.#toHappen = this.#toHappen.filter((job) => !isDue(job));
    for (const job of due) {
      if (job.spec.truth.kind === "ends") await this.#end(job, job.spec.truth);
      else this.#die(job, job.spec.truth.sandbox);
    }
  }

  async #end(job: Job, truth: Extract<Truth, { kind: "ends" }>): Promise<void> {
    const { host, database } = this.#world;
    const { exitCode, callback } = truth;
    if (!callback) {
      host.update(job.sandboxId, { outputs: [exitedWith(exitCode, job)] });
      return;
    }
    const status = exitCode === 0 ? "COMPLETED" : "FAILED";
    const answer = await completeRun(database.sql, { runId: job.id, status, error: SAID });
    if (answer.code !== 200 || answer.reconciled) {
      throw new Error(`the callback of ${job.id} came too late: ${JSON.stringify(answer)}`);
    }
    host.remove(job.sandboxId);
  }

  #die({ sandboxId }: Job, sandbox: Death): void {
    const { host } = this.#world;
    if (sandbox === "removed") host.remove(sandboxId);
    else if (sandbox !== "endless") host.update(sandboxId, { status: sandbox });
  }
}

/**
 * A run that the sweep of a minute is the first to find stale. It may live for another 40 minutes: the automation allows
 * half an hour, and it started five minutes before the replay.
 */
export function job(staleAtMinute: number, truth: Truth, patch: Partial<JobSpec> = {}): JobSpec {
  const deadlineAtMs = (staleAtMinute - 0.5) * MINUTE_MS;
  return { startedAtMs: -5 * MINUTE_MS, timeoutS: 1800, deadlineAtMs, truth, ...patch };
}

/** Shortly before the sweep of that minute. */
export function ends(minute: number, exitCode: number, callback: boolean): Truth {
  return { kind: "ends", atMs: (minute - 0.25) * MINUTE_MS, exitCode, callback };
}

/** Shortly before the sweep of that minute. */
export function dies(minute: number, sandbox: Death = "MISSING"): Truth {
  return { kind: "dies", atMs: (minute - 0.25) * MINUTE_MS, sandbox };
}

/** What a callback of a failure says. */
export const SAID = "said the callback";

function jobOf(run: SeededRun, spec: JobSpec | undefined): Job {
  const { sandboxId } = run;
  if (spec === undefined || sandboxId === null) throw new Error("a job needs its own sandbox");
  return { ...run, sandboxId, spec };
}

/** Default times of the host service. */
const READY_MS = 300_000;
const DEFAULT_RUN_MS = 600_000;
const GRACE_MS = 600_000;

export function hardDeadlineMs({ spec }: Job): number {
  const { startedAtMs, timeoutS } = spec;
  return (
    startedAtMs + READY_MS + (timeoutS === undefined ? DEFAULT_RUN_MS : timeoutS * 1000) + GRACE_MS
  );
}
