/** Ten stale runs, a sweep over them, and callbacks from its first question to its end; what everybody waited for. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Sql } from "postgres";
import type { HostProcess } from "../../fake-host/process-client.ts";
import { type SeededRun, seedAutomation, seedRuns } from "../../fake-host/seed.ts";
import { LockWatch } from "../../services/postgres/lock-watch.ts";
import { RowLocks } from "../../services/postgres/row-locks.ts";
import type { BenchDatabase } from "../place.ts";
import { type CallbackWaits, sendCallbacks } from "../processes/callbacks.ts";
import { sweepOnce } from "../processes/worker.ts";

export const STALE_RUNS = 10;
/** More than there are callbacks in the slowest sweep. */
const ALIVE_RUNS = 4000;
const AHEAD_MS = 3_600_000;
const LOOK_EVERY_MS = 5;

/** @returns how long it took, in milliseconds. */
export type Sweep = (stale: readonly SeededRun[], begun: () => void) => Promise<number>;

/** Who is asked, and about what. */
export interface Asked {
  readonly databaseUrl: string;
  readonly api: Pick<HostProcess, "url" | "serviceKey">;
}

export interface Play {
  /** Whose locks are looked at, by `application_name`. */
  readonly application: string;
  /** When the callback about a stale run comes, in milliseconds after the beginning of the sweep. */
  readonly whenOf: (index: number) => number;
  readonly sweep: Sweep;
}

export interface Played {
  readonly tookMs: number;
  readonly waits: CallbackWaits;
  readonly longestLockMs: number;
  readonly samples: number;
  /** How many of the samples met a session idle in transaction. */
  readonly idleInTransaction: number;
  readonly blockedWriters: number;
}

export class Scene {
  readonly #sql: Sql;
  readonly #url: string;
  readonly #host: HostProcess;

  constructor({ sql, url }: BenchDatabase, host: HostProcess) {
    this.#sql = sql;
    this.#url = url;
    this.#host = host;
  }

  async play({ application, whenOf, sweep }: Play): Promise<Played> {
    const { stale, alive } = await this.#seed();
    await using locks = new LockWatch(this.#url, { application, everyMs: LOOK_EVERY_MS });
    await using rowLocks = new RowLocks(this.#url, application);
    const ended = new AbortController();
    const begun = Promise.withResolvers<void>();
    const calling = begun.promise.then(() => {
      const callbacks = stale.map(({ id }, index) => ({ runId: id, afterMs: whenOf(index) }));
      return sendCallbacks(this.#sql, { alive, stale: callbacks }, ended.signal);
    });
    // Thrown below.
    calling.catch(() => undefined);
    const tookMs = await sweep(stale, () => begun.resolve()).finally(() => ended.abort());
    const waits = await calling;
    const { samples, idleInTransaction, blockedWriters } = await locks.end();
    const longestLockMs = await rowLocks.end();
    return { tookMs, waits, longestLockMs, samples, idleInTransaction, blockedWriters };
  }

  /** A process that asks the host: it has begun with its first question. To start it is no part of a sweep. */
  asked(sweep: (asked: Asked) => Promise<number | null>): Sweep {
    return async (_, begun) => {
      const before = await this.#questions();
      const sweeping = sweep({ databaseUrl: this.#url, api: this.#host });
      const ended = new AbortController();
      const first = this.#firstQuestion(before, begun, ended.signal);
      const tookMs = await sweeping.finally(() => ended.abort());
      const endedMs = performance.now();
      const begunMs = await first;
      if (begunMs === null)
        throw new Error("the watchdog was to ask about runs, found no question");
      return tookMs ?? endedMs - begunMs;
    };
  }

  readonly worker: Sweep = this.asked(async ({ databaseUrl, api }) => {
    const env = {
      DATABASE_URL: databaseUrl,
      AUTOMATION_OPENHANDS_API_BASE_URL: api.url,
      AUTOMATION_SERVICE_KEY: api.serviceKey,
    };
    return (await sweepOnce(env, null)).report.durationMs;
  });

  async #firstQuestion(
    before: number,
    begun: () => void,
    signal: AbortSignal,
  ): Promise<number | null> {
    while (!signal.aborted) {
      if ((await this.#questions()) > before) {
        begun();
        return performance.now();
      }
      await sleep(LOOK_EVERY_MS, undefined, { signal }).catch(() => undefined);
    }
    return null;
  }

  async #questions(): Promise<number> {
    return (await this.#host.send({ traffic: true }))["all"]?.seen ?? 0;
  }

  /** Each stale run is another user's, and has exited with code 1. */
  async #seed(): Promise<{
    readonly stale: readonly SeededRun[];
    readonly alive: readonly string[];
  }> {
    await this.#sql`
      TRUNCATE automations, automation_runs, watchdog.verdicts, watchdog.suspicions CASCADE`;
    const stale = await seedRuns(
      this.#sql,
      Array.from({ length: STALE_RUNS }, () => ({})),
    );
    const of = await seedAutomation(this.#sql);
    const seeds = Array.from({ length: ALIVE_RUNS }, () => ({ of, overdueMs: -AHEAD_MS }));
    const alive = (await seedRuns(this.#sql, seeds)).map(({ id }) => id);
    await this.#sql`VACUUM (ANALYZE) automation_runs`;
    const add = stale.map(({ sandboxId, userId, orgId, bashCommandId }) => ({
      id: sandboxId ?? "",
      userId,
      orgId,
      outputs: [{ commandId: bashCommandId ?? "", exitCode: 1 }],
    }));
    await this.#host.send({ add });
    return { stale, alive };
  }
}
