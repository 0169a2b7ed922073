import type { Pause } from "../../../rules/fleet/pause.ts";
import { StoreSchemaError } from "../../../watchdog/errors.ts";
import type {
  Fleet,
  PauseRequest,
  SeenWorker,
  WorkerIntroduction,
} from "../../../watchdog/fleet-ports.ts";
import type { Fence } from "../../../watchdog/ports.ts";
import type { Database } from "../database.ts";
import { NO_ROW } from "../leadership/leadership.ts";
import { epochOfFirst, toMillis } from "../sql.ts";
import { FORGET_WORKERS, LEFT, PAUSE, RESUME, SEEN, WORKERS } from "./fleet-statements.ts";

/** What all workers of an installation are told, and who they are. Each method is one autocommit statement. */
export class PostgresFleet implements Fleet {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  async pause(request: PauseRequest): Promise<Pause> {
    const [row] = await this.#database.queryOwn("pausing", PAUSE, request);
    if (row === undefined) throw new StoreSchemaError(NO_ROW);
    return row.pause;
  }

  async resume(by: string): Promise<Pause | null> {
    const [row] = await this.#database.queryOwn("ending the pause", RESUME, { by });
    return row?.pause ?? null;
  }

  async seen(worker: WorkerIntroduction): Promise<void> {
    if (!(await this.#database.listsWorkers())) return;
    await this.#database.queryOwn("listing this worker", SEEN, worker);
  }

  async left(holder: string): Promise<void> {
    if (!(await this.#database.listsWorkers())) return;
    await this.#database.queryOwn("taking this worker from the list", LEFT, { holder });
  }

  async workers(): Promise<readonly SeenWorker[]> {
    const rows = await this.#database.queryOwn("reading which workers there are", WORKERS, {});
    return rows.map(({ leaseKind, upMs, seenAgoMs, ...row }) => ({
      ...row,
      leaseKind: leaseKind === "redis" ? "redis" : "postgres",
      upMs: toMillis(upMs) ?? 0,
      seenAgoMs: toMillis(seenAgoMs) ?? 0,
    }));
  }

  async forgetWorkers(notSeenForMs: number, fence: Fence): Promise<number> {
    if (!(await this.#database.listsWorkers())) return 0;
    const params = { notSeenForMs, epoch: epochOfFirst(fence) };
    const what = "forgetting workers that are gone";
    return (await this.#database.queryOwn(what, FORGET_WORKERS, params, () => fence.check()))
      .length;
  }
}
