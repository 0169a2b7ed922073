/** Two workers with nothing to do. What each asks of its servers is counted on the wire. */
import { setTimeout as sleep } from "node:timers/promises";
import { startTcpProxy, type TcpProxy } from "../../services/tcp-proxy.ts";
import { countRedisCommands, countStatements } from "../../support/process/wire-counts.ts";
import type { Figure } from "../measure/figure.ts";
import { median } from "../measure/statistics.ts";
import { backendEnv } from "../processes/backend.ts";
import { type Daemon, pidIn, startDaemon } from "../processes/daemon.ts";
import { usageOf } from "../processes/process-usage.ts";
import type { Part } from "./part.ts";

/** A tick of the default schedule at least. */
const SECONDS = 60;
const FULL_SECONDS = 300;
/** Starting up is over, and what it has compiled and collected. */
const SETTLE_MS = 10_000;
const STARTS = 5;
const MOST_CORE_PERCENT = 0.3;
const MOST_MB = 80;
const MOST_READY_MS = 500;

export const IDLE: Part = {
  name: "idle",
  title: "two idle workers, one of them the standby: CPU, memory, traffic, start-up",
  async measure({ place, options, say }) {
    const seconds = options.seconds ?? (options.full ? FULL_SECONDS : SECONDS);
    await using database = await place.createDatabase();
    const redisUrl = await place.redisUrl();
    const env = backendEnv("http", "http://127.0.0.1:9");
    const starts: Daemon[] = [];
    for (let start = 0; start < STARTS; start += 1) {
      await using daemon = await startDaemon({
        ...env,
        DATABASE_URL: database.url,
        REDIS_URL: redisUrl,
      });
      starts.push(daemon);
    }
    await using first = await IdleWorker.start(env, database.url, redisUrl);
    await using second = await IdleWorker.start(env, database.url, redisUrl);
    say(`looking at two workers for ${seconds} s`);
    await sleep(SETTLE_MS);
    const before = await Promise.all([first, second].map((worker) => worker.count()));
    await sleep(seconds * 1000);
    const after = await Promise.all([first, second].map((worker) => worker.count()));
    const [row] = await database.sql<{ readonly holder: string }[]>`
      SELECT holder FROM watchdog.leadership`;
    const leads = row !== undefined && pidIn(row.holder) === first.pid ? 0 : 1;
    const minutes = seconds / 60;
    const figuresOf = (name: string, index: number): readonly Figure[] => {
      const from = before[index];
      const to = after[index];
      const rise = (of: keyof Counts) => (to?.[of] ?? Number.NaN) - (from?.[of] ?? Number.NaN);
      const core = (100 * rise("cpuMs")) / (seconds * 1000);
      const resident = to?.residentMb ?? Number.NaN;
      return [
        {
          name: `${name}: CPU, of a core`,
          value: core,
          unit: "%",
          limit: { atMost: MOST_CORE_PERCENT },
        },
        {
          name: `${name}: resident memory`,
          value: resident,
          unit: "MB",
          limit: { atMost: MOST_MB },
        },
        { name: `${name}: statements a minute`, value: rise("statements") / minutes, unit: "" },
        { name: `${name}: Redis commands a minute`, value: rise("commands") / minutes, unit: "" },
      ];
    };
    return {
      figures: [
        {
          name: `ready after, median of ${STARTS} starts`,
          value: median(starts.map(({ readyAfterMs }) => readyAfterMs)),
          unit: "ms",
          limit: { atMost: MOST_READY_MS },
        },
        {
          name: "CPU until ready, median",
          value: median(starts.map(({ readyCpuMs }) => readyCpuMs)),
          unit: "ms",
        },
        ...figuresOf("leader", leads),
        ...figuresOf("standby", 1 - leads),
      ],
      notes: [
        `looked at for ${seconds} s; the leader is the one that swept last, ticks may go to either`,
      ],
    };
  },
};

interface Counts {
  readonly cpuMs: number;
  readonly residentMb: number;
  readonly statements: number;
  readonly commands: number;
}

class IdleWorker implements AsyncDisposable {
  readonly #daemon: Daemon;
  readonly #counts: () => Pick<Counts, "statements" | "commands">;
  readonly #resources: AsyncDisposableStack;

  private constructor(
    daemon: Daemon,
    counts: () => Pick<Counts, "statements" | "commands">,
    resources: AsyncDisposableStack,
  ) {
    this.#daemon = daemon;
    this.#counts = counts;
    this.#resources = resources;
  }

  static async start(
    env: Readonly<Record<string, string>>,
    databaseUrl: string,
    redisUrl: string,
  ): Promise<IdleWorker> {
    await using resources = new AsyncDisposableStack();
    const statements = countStatements();
    const commands = countRedisCommands();
    const before = async (url: string, port: number, observer: typeof statements.observer) => {
      const { hostname: host, port: own } = new URL(url);
      const target = { host, port: Number(own || port) };
      return resources.use(await startTcpProxy(target, observer));
    };
    const postgres: TcpProxy = await before(databaseUrl, 5432, statements.observer);
    const redis: TcpProxy = await before(redisUrl, 6379, commands.observer);
    const daemon = await startDaemon({
      ...env,
      DATABASE_URL: postgres.url(databaseUrl),
      REDIS_URL: redis.url(redisUrl),
    });
    resources.use(daemon);
    const counts = () => ({ statements: statements.count, commands: commands.count });
    return new IdleWorker(daemon, counts, resources.move());
  }

  get pid(): number {
    return this.#daemon.pid;
  }

  async count(): Promise<Counts> {
    return { ...(await usageOf(this.pid)), ...this.#counts() };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync();
  }
}
