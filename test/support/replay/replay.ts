/**
 * An incident, minute by minute: real PostgreSQL, a host over real HTTP, one worker with one backend for all sweeps, as
 * in a daemon, with the product's own limits. Every run has a truth. After each sweep nobody who is alive may have been
 * ended, and nobody who is not may still be waiting beyond the bound.
 */
import { expect } from "vitest";
import type { Runtime } from "../../../src/app/runtime.ts";
import { systemClock } from "../../../src/io/clock.ts";
import { HttpClient } from "../../../src/io/http/client.ts";
import { openHandsCloudBackend } from "../../../src/io/openhands/cloud.ts";
import { type Health, health } from "../../../src/rules/health.ts";
import type { SweepReport } from "../../../src/rules/report.ts";
import { SharedSlots } from "../../../src/watchdog/concurrency/shared-slots.ts";
import { leadSweep } from "../../../src/watchdog/lead/lead-sweep.ts";
import type { Backend } from "../../../src/watchdog/ports.ts";
import type { SweepRequest } from "../../../src/watchdog/sweep/model.ts";
import { WorkerStatus } from "../../../src/watchdog/worker/status/worker-status.ts";
import type { FakeHost } from "../../fake-host/fake-host.ts";
import { createWorld, type World } from "../world/world.ts";
import { delay, normally, readRuns, wrongEnd } from "./checks.ts";
import { type Job, type JobSpec, ReplayJobs } from "./jobs.ts";
import { MINUTE_MS, ReplayTime } from "./time.ts";
import { type ApiTraffic, apiTraffic } from "./traffic.ts";

export const API_CONCURRENCY = 8;

/** How many runs that are not stale a sweep may ask about. */
const CONTROL_RUNS = 3;

/** The product's defaults, which other tests loosen. */
const LIMITS = {
  WATCHDOG_CONFIRMATIONS: "2",
  WATCHDOG_GUARD_MIN: "5",
  WATCHDOG_GUARD_RATIO: "0.25",
  WATCHDOG_GUARD_PER_HOUR: "60",
  WATCHDOG_API_CONCURRENCY: String(API_CONCURRENCY),
};

const TICK: SweepRequest = {
  trigger: "cron",
  intervalMs: MINUTE_MS,
  runIds: null,
  limit: null,
  overrideReason: null,
};

/** One sweep of a replay. */
export interface Swept {
  readonly minute: number;
  readonly report: SweepReport;
  readonly api: ApiTraffic;
  readonly health: Health;
}

export interface ReplayOptions {
  /** The bound for everybody's verdict; by default the one for quiet times. */
  readonly judgedBy?: (job: Job) => number;
}

export async function startReplay(options: ReplayOptions = {}): Promise<Replay> {
  await using resources = new AsyncDisposableStack();
  const world = resources.use(await createWorld());
  const http = resources.adopt(new HttpClient({ proxy: null, clock: systemClock }), (client) =>
    client.close(),
  );
  const time = new ReplayTime(world.database.sql);
  const backend = openHandsCloudBackend({
    http,
    clock: time.clock,
    baseUrl: world.host.url,
    serviceKey: { current: world.host.serviceKey, refresh: () => world.host.serviceKey },
    concurrency: API_CONCURRENCY,
    verifyTimeoutMs: 30_000,
    agentHosts: [],
    agentSlots: new SharedSlots(16),
  });
  const runtime = resources.use(world.open(LIMITS));
  return new Replay(world, runtime, backend, time, options, resources.move());
}

export class Replay implements AsyncDisposable {
  readonly world: World;
  readonly host: FakeHost;
  readonly sweeps: Swept[] = [];
  readonly #runtime: Runtime;
  readonly #backend: Backend;
  readonly #time: ReplayTime;
  readonly #jobs: ReplayJobs;
  readonly #judgedBy: (job: Job) => number;
  readonly #judged = new Set<Job>();
  readonly #status: WorkerStatus;
  readonly #resources: AsyncDisposableStack;

  constructor(
    world: World,
    runtime: Runtime,
    backend: Backend,
    time: ReplayTime,
    options: ReplayOptions,
    resources: AsyncDisposableStack,
  ) {
    this.world = world;
    this.host = world.host;
    this.#runtime = runtime;
    this.#backend = backend;
    this.#time = time;
    this.#jobs = new ReplayJobs(world);
    this.#judgedBy = options.judgedBy ?? normally;
    this.#status = new WorkerStatus(systemClock, runtime.schedule, {
      holder: runtime.options.holder,
      leaseKind: runtime.deps.lease.kind,
      verifyTimeoutMs: runtime.options.verifyTimeoutMs,
      api: backend.api ?? null,
      observes: false,
    });
    this.#resources = resources;
  }

  get nowMs(): number {
    return this.#time.nowMs;
  }

  get minute(): number {
    return Math.floor(this.nowMs / MINUTE_MS);
  }

  get jobs(): readonly Job[] {
    return this.#jobs.all;
  }

  add(specs: readonly JobSpec[]): Promise<readonly Job[]> {
    return this.#jobs.add(this.nowMs, specs);
  }

  /** Sweeps at every full minute from now on, up to and including this one. */
  async untilMinute(minute: number): Promise<void> {
    while (this.minute < minute) {
      await this.jumpToMinute(this.minute + 1);
      await this.#expectHidden();
      await this.sweep();
    }
  }

  /** While sweeps come in time, the host's own watchdog finds none of the runs that a sweep has looked at. */
  async #expectHidden(): Promise<void> {
    const { sql } = this.world.database;
    const found = await sql`
      SELECT r.id FROM automation_runs r JOIN watchdog.suspicions s ON s.run_id = r.id
      WHERE r.status = 'RUNNING' AND r.timeout_at < now() AND r.timeout_at = s.shield_at`;
    expect([...found], `minute ${this.minute}: looked at, and stale for the host`).toEqual([]);
  }

  /** Lets time pass with nobody sweeping. */
  async jumpToMinute(minute: number): Promise<void> {
    await this.#time.passUntil(minute * MINUTE_MS);
  }

  async sweep(request: Partial<SweepRequest> = {}): Promise<Swept> {
    await this.#jobs.happen(this.nowMs);
    this.host.traffic.reset();
    const { nowMs, minute } = this;
    const report = await this.#lead({ ...TICK, ...request });
    const swept = {
      minute,
      report,
      api: apiTraffic(this.host, this.jobs),
      health: health(this.#status.facts()),
    };
    this.sweeps.push(swept);
    await this.#check(swept, nowMs);
    return swept;
  }

  /** Every run has come to its end, by a callback or by exactly one verdict. */
  async expectAllJudged(): Promise<void> {
    const { sql } = this.world.database;
    const running = await sql`SELECT id FROM automation_runs WHERE status = 'RUNNING'`;
    expect(running).toHaveLength(0);
    const verdicts = await sql<{ readonly runId: string }[]>`
      SELECT run_id AS "runId" FROM watchdog.verdicts ORDER BY run_id`;
    const judged = this.jobs.filter(
      ({ spec }) => spec.truth.kind === "dies" || !spec.truth.callback,
    );
    expect(verdicts.map(({ runId }) => runId)).toEqual(judged.map(({ id }) => id).sort());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync();
  }

  async #lead(request: SweepRequest): Promise<SweepReport> {
    const { deps, options } = this.#runtime;
    // A replay may take longer than a scheduler is waited for.
    this.#status.ticked();
    const result = await leadSweep(
      { ...deps, backend: this.#backend, watch: this.#status.watch },
      options,
      request,
      new AbortController().signal,
    );
    if (result.kind !== "swept") throw new Error(`nothing was swept: ${result.kind}`);
    if (result.error !== null) throw result.error;
    this.#status.swept(result.report);
    return result.report;
  }

  async #check({ minute, report, api }: Swept, atMs: number): Promise<void> {
    const runs = await readRuns(this.world.database.sql);
    const dead = this.jobs.filter(({ spec }) => spec.truth.kind === "dies").length;
    const wrong = this.jobs.flatMap((job) => {
      const run = runs.get(job.id);
      if (run === undefined) return [`there is no run ${job.id}`];
      const wrongly = wrongEnd(job, run, atMs, this.host);
      if (wrongly !== null) return [wrongly];
      if (this.#judged.has(job)) return [];
      if (run.status !== "RUNNING") this.#judged.add(job);
      const delayed = delay(job, run, atMs, this.#judgedBy(job), dead);
      return delayed === null ? [] : [delayed];
    });
    expect(wrong, `minute ${minute}`).toEqual([]);
    expect(api.repeated, `minute ${minute}: questions asked twice`).toEqual([]);
    expect(
      new Set(api.lookups).size,
      `minute ${minute}: sandboxes asked about`,
    ).toBeLessThanOrEqual(report.counts.stale + CONTROL_RUNS);
    expect(api.peak, `minute ${minute}: calls at once`).toBeLessThanOrEqual(API_CONCURRENCY);
  }
}
