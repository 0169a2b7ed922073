/** One call that looks sandboxes up: a single one, or several with the same key. */
import type { Clock } from "../../watchdog/ports.ts";
import type { Prepared } from "../api-gate/gate.ts";
import { type Answer, type HttpAnswer, timedOut } from "../http/answer.ts";
import { CallBudget, type CallName, urlBelow } from "../http/call.ts";
import type { ApiKey } from "./keys.ts";
import { readBatch, readSandbox, SANDBOX_LOOKUP } from "./sandbox-record.ts";

/** The same question about several. In what is told of a run it has the name of the single one. */
export const BATCH_LOOKUP: CallName = { source: "sandbox_api", operation: "batch_get_sandboxes" };

/** Why what nobody waits for is cut off. Without a reason an error would be made, with its stack, for each call. */
export const ENDED = "ended";

/** Those that waited for the same key differ by a little: they need no clock of their own. */
const ALIKE_MS = 1_000;

/** One sandbox that somebody waits to hear of. The first answer counts. */
export class Wanted {
  readonly sandboxId: string;
  readonly budget: CallBudget;
  readonly #answer = Promise.withResolvers<Answer>();
  #done = false;

  constructor(sandboxId: string, budget: CallBudget) {
    this.sandboxId = sandboxId;
    this.budget = budget;
  }

  get answer(): Promise<Answer> {
    return this.#answer.promise;
  }

  get isDone(): boolean {
    return this.#done;
  }

  tell(answer: Answer): void {
    this.#done = true;
    this.#answer.resolve(answer);
  }

  fail(reason: unknown): void {
    this.#done = true;
    this.#answer.reject(reason);
  }
}

export interface LookupOptions {
  readonly clock: Pick<Clock, "sleep">;
  readonly baseUrl: URL;
  readonly timeoutMs: number;
}

/**
 * Each sandbox's budget pays for the time in the call, and ends the wait for it alone: the call goes on for those that have
 * time left.
 */
export class LookupCall {
  readonly #options: LookupOptions;
  readonly #key: ApiKey;
  readonly #ended = new AbortController();
  readonly #budget: CallBudget;
  /** When it was sent. */
  #leftMs = 0;
  #members: readonly Wanted[] = [];

  constructor(options: LookupOptions, key: ApiKey) {
    this.#options = options;
    this.#key = key;
    this.#budget = new CallBudget(options.timeoutMs);
  }

  prepare(members: readonly Wanted[]): Prepared {
    const longestMs = Math.max(...members.map(({ budget }) => budget.leftMs));
    const alike = members.filter(({ budget }) => budget.leftMs >= longestMs - ALIKE_MS);
    this.#members = members;
    this.#leftMs = Math.min(...alike.map(({ budget }) => budget.leftMs));
    this.#budget.spend(this.#budget.totalMs - this.#leftMs);
    for (const each of members) if (each.budget.leftMs < this.#leftMs) this.#endInTime(each);
    return { call: this.#callFor(members.map(({ sandboxId }) => sandboxId)), budget: this.#budget };
  }

  /** After the call, however it ended. */
  end(): void {
    this.#ended.abort(ENDED);
    const tookMs = this.#leftMs - this.#budget.leftMs;
    for (const { budget } of this.#members) budget.spend(tookMs);
  }

  #endInTime(wanted: Wanted): void {
    const { leftMs, totalMs } = wanted.budget;
    this.#options.clock.sleep(leftMs, this.#ended.signal).then(
      () => {
        wanted.budget.spend(leftMs);
        wanted.tell(timedOut(SANDBOX_LOOKUP, "complete answer", totalMs));
      },
      () => {},
    );
  }

  #callFor(ids: readonly string[]): Prepared["call"] {
    const [id = ""] = ids;
    const url = urlBelow(this.#options.baseUrl, "/api/v1/sandboxes", { id: ids });
    const call = {
      method: "GET",
      url,
      headers: { authorization: `Bearer ${this.#key.value}` },
      expects: "json",
      guarded: false,
      credential: this.#key.circuit,
    } as const;
    if (ids.length === 1) {
      const isUsable = (answer: HttpAnswer) =>
        answer.kind === "json" && readSandbox(answer.body, id).kind !== "malformed";
      return { ...SANDBOX_LOOKUP, ...call, isUsable };
    }
    const isUsable = (answer: HttpAnswer) =>
      answer.kind === "json" && readBatch(answer.body, ids).size > 0;
    return { ...BATCH_LOOKUP, ...call, isUsable, standsFor: SANDBOX_LOOKUP };
  }
}
