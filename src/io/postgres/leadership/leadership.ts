import { noteOf, readNote } from "../../../rules/fleet/shard.ts";
import { holderOf } from "../../../rules/lease-key.ts";
import { StoreSchemaError } from "../../../watchdog/errors.ts";
import type { ApiThrottle, Fence } from "../../../watchdog/ports.ts";
import type {
  EpochAnswer,
  EpochRequest,
  Horizon,
  Leadership,
  LeadershipView,
  Leaving,
} from "../../../watchdog/store-ports.ts";
import type { Database } from "../database.ts";
import { toMillis } from "../sql.ts";
import {
  BEGIN,
  CLEAR_LEASE_KIND,
  HORIZON,
  LEAVE_SHARDS,
  PROGRESS,
  READ,
} from "./leadership-statements.ts";

/**
 * The leadership row: Postgres hands out epochs and fences with them. Each method is one autocommit statement. The row
 * belongs to the worker alone and is written a few times per sweep, so these statements may wait for each other.
 */
export class PostgresLeadership implements Leadership {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  async read(shard = 0): Promise<LeadershipView> {
    // Once per tick: a host that was upgraded meanwhile may have more columns now.
    if (shard === 0) await this.#database.inspect();
    const [row] = await this.#database.queryOwn("reading the leadership row", READ({ shard }), {
      shard,
    });
    if (row === undefined) throw new StoreSchemaError(NO_ROW);
    const { note, ...view } = row;
    const noted = readNote(note);
    return {
      ...view,
      holder: holderIn(view.holder),
      leaseKind: noted?.leaseKind ?? null,
      shards: noted?.shards ?? 1,
      sinceProgressMs: toMillis(view.sinceProgressMs),
      sinceFinishMs: toMillis(view.sinceFinishMs),
    };
  }

  async begin({ shard, ...request }: EpochRequest, check: () => void): Promise<EpochAnswer> {
    const params = { ...request, shard, note: noteOf(request) };
    const [answer] = await this.#database.queryOwn("taking an epoch", BEGIN(shard), params, check);
    if (answer === undefined) throw new StoreSchemaError(NO_ROW);
    const { epoch, text, ms, pausedForMs, concurrency, alreadySwept, otherKind, pause } = answer;
    if (epoch !== null) {
      const throttle = { pausedForMs, concurrency };
      return { kind: "begun", epoch, horizon: { text, ms }, throttle };
    }
    if (pause !== null) return { kind: "paused", pause };
    if (otherKind) return { kind: "other-lease-kind", noted: readNote(answer.noted) };
    return { kind: alreadySwept ? "already-swept" : "lease-lost" };
  }

  async horizon(): Promise<Horizon> {
    // As above: there may be tables of our own by now.
    await this.#database.inspect();
    const [found] = await this.#database.queryOwn("reading the database's clock", HORIZON, {});
    const isLost = found?.hasRow === false && (await this.#database.remembers());
    if (found === undefined || isLost) throw new StoreSchemaError(NO_ROW);
    return { text: found.text, ms: found.ms };
  }

  progress(fence: Fence, throttle: ApiThrottle): Promise<boolean> {
    return this.#progress("noting progress", fence, null, throttle);
  }

  finish(fence: Fence, report: object, throttle: ApiThrottle): Promise<boolean> {
    const json = JSON.stringify(report);
    return this.#progress("noting the end of the sweep", fence, json, throttle);
  }

  async #progress(
    operation: string,
    fence: Fence,
    report: string | null,
    throttle: ApiThrottle,
  ): Promise<boolean> {
    const { shard, epoch } = fence;
    const params = { ...throttle, report, shard, epoch };
    const rows = await this.#database.queryOwn(operation, PROGRESS(fence), params, () =>
      fence.check(),
    );
    return rows.length === 1;
  }

  async clearLeaseKind(leaving: Leaving): Promise<void> {
    const what = "clearing the kind of lease";
    const { epoch, holder, othersWithinMs } = leaving;
    if (leaving.shards === 1) await this.#database.queryOwn(what, CLEAR_LEASE_KIND, { epoch });
    else await this.#database.queryOwn(what, LEAVE_SHARDS, { holder, othersWithinMs });
  }
}

export const NO_ROW = "watchdog.leadership has no row: run `run-watchdog migrate`";

function holderIn(value: string | null): string | null {
  return value === null ? null : holderOf(value);
}
