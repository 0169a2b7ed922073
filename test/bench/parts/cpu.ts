/**
 * Answers come at once, so the worker's own work is the limit. Compared with bare loops that ask the same questions, in
 * turns and in the same database: other programs on the machine slow all of them down alike. CPU seconds are what a
 * busy machine changes least.
 */

import { seedFleet, verdictsTookMs } from "../fleet.ts";
import type { Figure } from "../measure/figure.ts";
import { median } from "../measure/statistics.ts";
import type { BenchDatabase } from "../place.ts";
import { backendEnv, type Mode, startBackend } from "../processes/backend.ts";
import type { BareCost, BareLoop } from "../processes/bare-loop.ts";
import { startScript } from "../processes/child.ts";
import { sweepOnce } from "../processes/worker.ts";
import { profileSweep } from "../profile/profile-sweep.ts";
import type { Bench, Part } from "./part.ts";

const RUNS = 20_000;
const ROUNDS = 3;
const AT_ONCE = 256;
/** The worker's own default. */
const CONNECTIONS = 8;
const MOST_CPU_S = 0.35;

export const CPU: Part = {
  name: "cpu",
  title: "CPU-bound: answers come at once, against bare loops that ask the same",
  async measure(bench) {
    await using database = await bench.place.createDatabase();
    await using backend = await startBackend();
    const figures: Figure[] = [];
    const notes: string[] = [];
    for (const mode of ["http", "cloud"] as const) {
      const contest = new Contest(bench, database, backend.url, mode);
      figures.push(...(await contest.figures()));
      if (bench.options.profile) notes.push(...(await contest.profile()));
    }
    return { figures, notes };
  },
};

interface Cost {
  readonly wallMs: number;
  readonly cpuMs: number;
}

type Contestant = "worker" | BareLoop["statements"];
const CONTESTANTS: readonly Contestant[] = ["worker", "same", "plain"];

class Contest {
  readonly #bench: Bench;
  readonly #database: BenchDatabase;
  readonly #backendUrl: string;
  readonly #mode: Mode;
  readonly #runs: number;

  constructor(bench: Bench, database: BenchDatabase, backendUrl: string, mode: Mode) {
    this.#bench = bench;
    this.#database = database;
    this.#backendUrl = backendUrl;
    this.#mode = mode;
    this.#runs = bench.options.runs ?? RUNS;
  }

  async figures(): Promise<readonly Figure[]> {
    const costs: Record<Contestant, Cost[]> = { worker: [], same: [], plain: [] };
    const rounds = this.#bench.options.rounds ?? ROUNDS;
    const startMs = await this.#startMs();
    for (let round = 1; round <= rounds; round += 1) {
      for (const contestant of CONTESTANTS) {
        const cost = await this.#costOf(contestant, startMs);
        costs[contestant].push(cost);
        const told = `${(cost.wallMs / 1000).toFixed(1)} s, ${(cost.cpuMs / 1000).toFixed(1)} s of CPU`;
        this.#bench.say(`${this.#mode}, round ${round} of ${rounds}: ${contestant} took ${told}`);
      }
    }
    return this.#compare(costs);
  }

  #compare(costs: Readonly<Record<Contestant, readonly Cost[]>>): readonly Figure[] {
    const mode = this.#mode;
    const { worker, same, plain } = costs;
    const perSecond = (of: readonly Cost[]) =>
      median(of.map(({ wallMs }) => this.#runs / (wallMs / 1000)));
    const cpuS = (of: readonly Cost[]) => median(of.map(({ cpuMs }) => cpuMs / this.#runs));
    /** Of one round each: what slowed one down slowed the other one down as well. */
    const ratio = (bare: readonly Cost[], by: keyof Cost) =>
      median(bare.map((cost, round) => cost[by] / (worker[round]?.[by] ?? Number.NaN)));
    const mostCpu = mode === "http" ? { limit: { atMost: MOST_CPU_S } } : {};
    return [
      { name: `${mode}: worker`, value: perSecond(worker), unit: "runs/s" },
      { name: `${mode}: bare loop, same statements`, value: perSecond(same), unit: "runs/s" },
      { name: `${mode}: bare loop, plain UPDATE`, value: perSecond(plain), unit: "runs/s" },
      {
        name: `${mode}: speed by that of the same statements`,
        value: ratio(same, "wallMs"),
        unit: "",
        limit: { atLeast: 0.7 },
      },
      {
        name: `${mode}: speed by that of the plain UPDATE`,
        value: ratio(plain, "wallMs"),
        unit: "",
        limit: { atLeast: 0.5 },
      },
      { name: `${mode}: worker, CPU of 1,000 runs`, value: cpuS(worker), unit: "s", ...mostCpu },
      { name: `${mode}: same statements, CPU of 1,000 runs`, value: cpuS(same), unit: "s" },
      { name: `${mode}: plain UPDATE, CPU of 1,000 runs`, value: cpuS(plain), unit: "s" },
      {
        name: `${mode}: CPU of the same statements by the worker's`,
        value: ratio(same, "cpuMs"),
        unit: "",
      },
      {
        name: `${mode}: CPU of the plain UPDATE by the worker's`,
        value: ratio(plain, "cpuMs"),
        unit: "",
      },
    ];
  }

  /** The CPU time of a sweep without runs, in milliseconds: to start and to stop. */
  async #startMs(): Promise<number> {
    await seedFleet(this.#database.sql, { stale: 0 });
    const sweeps = [
      await sweepOnce(this.#env, 0),
      await sweepOnce(this.#env, 0),
      await sweepOnce(this.#env, 0),
    ];
    return median(sweeps.map(({ cpuMs }) => cpuMs));
  }

  async #costOf(contestant: Contestant, startMs: number): Promise<Cost> {
    await this.#seed();
    if (contestant === "worker") {
      const { cpuMs } = await sweepOnce(this.#env, this.#runs);
      return { wallMs: await verdictsTookMs(this.#database.sql), cpuMs: cpuMs - startMs };
    }
    const loop: BareLoop = {
      databaseUrl: this.#database.url,
      backendUrl: this.#backendUrl,
      mode: this.#mode,
      statements: contestant,
      atOnce: AT_ONCE,
      connections: CONNECTIONS,
    };
    await using script = startScript("bare-loop.ts", loop);
    const { runs, ...cost } = await script.read<BareCost>();
    if (runs !== this.#runs)
      throw new Error(`the bare loop was to end ${this.#runs} runs, found ${runs}`);
    return cost;
  }

  async profile(): Promise<readonly string[]> {
    await this.#seed();
    return profileSweep(`cpu-${this.#mode}`, this.#env, this.#runs);
  }

  /** Nothing is deleted: the bare loops do not delete either. */
  async #seed(): Promise<void> {
    await seedFleet(this.#database.sql, { stale: this.#runs, keepSandboxes: true });
    await this.#database.sql`CHECKPOINT`;
  }

  get #env(): Readonly<Record<string, string>> {
    return {
      DATABASE_URL: this.#database.url,
      WATCHDOG_DB_POOL: String(CONNECTIONS),
      WATCHDOG_CONCURRENCY: String(AT_ONCE),
      WATCHDOG_API_CONCURRENCY: String(AT_ONCE),
      ...backendEnv(this.#mode, this.#backendUrl),
    };
  }
}
