/**
 * Look-ups of sandboxes. Those that wait at the same time for the same key go together in one call; more can join until
 * its turn has come.
 *
 * One bad sandbox can spoil the answer about all: the app server fails as a whole then. So such a call is halved, down to
 * the single look-up, which tells whose fault it is, and only that one counts against the API. An API that fails whatever
 * it is asked opens the circuit of the calls for several, and then that of the single look-ups. Whatever else keeps a call
 * for several from being answered, such as a sandbox that hangs or a server that knows no such calls, makes that key's
 * sandboxes be looked up one by one for a while: no run stays without an answer because of its neighbours.
 */
import { setTimeout as pass } from "node:timers/promises";
import type { Clock } from "../../watchdog/ports.ts";
import { Circuit } from "../api-gate/circuit.ts";
import type { ApiGate } from "../api-gate/gate.ts";
import { type Answer, type HttpAnswer, isUnauthorized, malformed } from "../http/answer.ts";
import type { CallBudget } from "../http/call.ts";
import type { ApiKey } from "./keys.ts";
import { BATCH_LOOKUP, ENDED, LookupCall, type LookupOptions, Wanted } from "./lookup-call.ts";
import { readBatch, SANDBOX_LOOKUP } from "./sandbox-record.ts";

/** Old app servers fail from 100 ids on. */
const MOST_IDS = 50;

/** A look-up waits so long for others, and once more as often as some have come, up to 15 ms: little beside a call. */
const GATHER_MS = 5;
const GATHER_ROUNDS = 3;

const ONE_BY_ONE_MS = 5 * 60_000;

export interface LookupParts extends LookupOptions {
  readonly gate: ApiGate;
  readonly clock: Pick<Clock, "monotonicMs" | "sleep">;
}

export class Lookups {
  readonly #parts: LookupParts;
  /** Of the calls for several. While it is open, sandboxes are looked up one by one. */
  readonly #circuit: Circuit;
  readonly #queues = new WeakMap<ApiKey, LookupQueue>();

  constructor(parts: LookupParts) {
    this.#parts = parts;
    this.#circuit = new Circuit(parts.clock);
  }

  /**
   * What the API answers, or would answer, when it is asked about this sandbox alone. The same sandbox must not be asked
   * about twice at a time. Time in calls counts against the budget. Rejects with `signal.reason`.
   */
  ask(key: ApiKey, sandboxId: string, budget: CallBudget, signal: AbortSignal): Promise<Answer> {
    const queue = this.#queues.get(key) ?? new LookupQueue(this.#parts, key, this.#circuit);
    this.#queues.set(key, queue);
    return queue.ask(sandboxId, budget, signal);
  }
}

/** Those of one key: another user's sandboxes never go along. */
class LookupQueue {
  readonly #parts: LookupParts;
  readonly #key: ApiKey;
  readonly #circuit: Circuit;
  readonly #waiting = new Set<Wanted>();
  /** Calls that wait for sandboxes to join, or for their turn. */
  readonly #senders = new Set<AbortController>();
  /** Resolves when there is nothing more to wait for. */
  #full = Promise.withResolvers<void>();
  #oneByOneUntilMs = 0;

  constructor(parts: LookupParts, key: ApiKey, circuit: Circuit) {
    this.#parts = parts;
    this.#key = key;
    this.#circuit = circuit;
  }

  async ask(sandboxId: string, budget: CallBudget, signal: AbortSignal): Promise<Answer> {
    signal.throwIfAborted();
    const wanted = new Wanted(sandboxId, budget);
    const onAbort = () => {
      this.#waiting.delete(wanted);
      this.#stopIfNobodyWaits();
      wanted.fail(signal.reason);
    };
    signal.addEventListener("abort", onAbort, { once: true });
    this.#waiting.add(wanted);
    this.#sendAll();
    try {
      return await wanted.answer;
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  }

  /** How many sandboxes go into a call. */
  get #most(): number {
    const oneByOne = this.#parts.clock.monotonicMs() < this.#oneByOneUntilMs;
    return oneByOne || this.#circuit.openMs > 0 ? 1 : MOST_IDS;
  }

  #sendAll(): void {
    while (this.#senders.size * this.#most < this.#waiting.size) void this.#send();
    if (this.#senders.size * this.#most > this.#waiting.size) return;
    this.#full.resolve();
    this.#full = Promise.withResolvers();
  }

  async #send(): Promise<void> {
    const own = new AbortController();
    this.#senders.add(own);
    let taken: readonly Wanted[] = [];
    const take = () => {
      taken = this.#take(own);
      void abortWhenDone(taken, own);
      return taken;
    };
    try {
      await this.#gather();
      const answer = await this.#call(take, own.signal);
      await this.#hear(taken.length > 0 ? taken : take(), answer, null);
    } catch (error) {
      for (const each of taken) each.fail(error);
    }
  }

  /** A timer for each call, none for each look-up. */
  async #gather(): Promise<void> {
    const full = this.#full.promise.then(() => false);
    let more = this.#most > 1;
    for (let round = 0; more && round < GATHER_ROUNDS; round += 1) {
      const before = this.#waiting.size;
      more = await Promise.race([pass(GATHER_MS, true), full]);
      more &&= this.#waiting.size > before;
    }
  }

  #take(own: AbortController): readonly Wanted[] {
    own.signal.throwIfAborted();
    const taken = [...this.#waiting].slice(0, this.#most);
    for (const each of taken) this.#waiting.delete(each);
    this.#senders.delete(own);
    this.#stopIfNobodyWaits();
    this.#sendAll();
    return taken;
  }

  #stopIfNobodyWaits(): void {
    if (this.#waiting.size > 0) return;
    for (const sender of this.#senders) sender.abort(ENDED);
    this.#senders.clear();
  }

  async #call(members: () => readonly Wanted[], signal: AbortSignal): Promise<Answer> {
    const waiting = { ...SANDBOX_LOOKUP, credential: this.#key.circuit };
    const call = new LookupCall(this.#parts, this.#key);
    try {
      const prepare = () => call.prepare(members());
      return await this.#parts.gate.requestWhenDue(waiting, prepare, signal);
    } finally {
      call.end();
    }
  }

  /** @param cause what is told when nothing can be asked: what came when they were asked about together. */
  async #hear(members: readonly Wanted[], answer: Answer, cause: Answer | null): Promise<void> {
    if (answer.kind === "not-asked") tell(members, cause ?? answer);
    else if (members.length === 1) tell(members, answer);
    else await this.#hearOfSeveral(members, answer);
  }

  async #hearOfSeveral(members: readonly Wanted[], answer: HttpAnswer): Promise<void> {
    switch (answer.kind) {
      case "json": {
        const ids = members.map(({ sandboxId }) => sandboxId);
        const said = readBatch(answer.body, ids);
        if (said.size > 0) this.#circuit.learn("success");
        for (const each of members) {
          const entry = said.get(each.sandboxId);
          if (entry !== undefined) each.tell({ ...answer, body: [entry] });
        }
        if (said.size > 0) return await this.#askEach(members, null);
        const strange = malformed(SANDBOX_LOOKUP, "answered with an unexpected shape");
        return await this.#askOneByOne(members, strange);
      }
      case "status":
        if (isRefused(answer)) return tell(members, answer);
        if (!isSpoilt(answer.status)) return await this.#askOneByOne(members, answer);
        this.#circuit.learn("failure");
        return await this.#askHalves(members, answer);
      case "unreachable":
        this.#oneByOne();
        return tell(members, inNameOfOne(answer));
      case "malformed":
        return await this.#askOneByOne(members, inNameOfOne(answer));
    }
  }

  async #askOneByOne(members: readonly Wanted[], cause: Answer): Promise<void> {
    this.#oneByOne();
    await this.#askEach(members, cause);
  }

  #oneByOne(): void {
    this.#oneByOneUntilMs = this.#parts.clock.monotonicMs() + ONE_BY_ONE_MS;
  }

  async #askEach(members: readonly Wanted[], cause: Answer | null): Promise<void> {
    await Promise.all(members.map((each) => this.#askAgain([each], cause)));
  }

  async #askHalves(members: readonly Wanted[], cause: Answer): Promise<void> {
    const middle = Math.ceil(members.length / 2);
    const halves = [members.slice(0, middle), members.slice(middle)];
    await Promise.all(halves.map((half) => this.#askAgain(half, cause)));
  }

  /** About those of whom nothing was heard yet. Never rejects. */
  async #askAgain(members: readonly Wanted[], cause: Answer | null): Promise<void> {
    const left = members.filter(({ isDone }) => !isDone);
    if (left.length === 0) return;
    if (left.length > this.#most) return await this.#askEach(left, cause);
    const own = new AbortController();
    void abortWhenDone(left, own);
    try {
      await this.#hear(left, await this.#call(() => left, own.signal), cause);
    } catch (error) {
      for (const each of left) each.fail(error);
    }
  }
}

/** A call that nobody waits for is cut off. */
async function abortWhenDone(members: readonly Wanted[], call: AbortController): Promise<void> {
  await Promise.allSettled(members.map(({ answer }) => answer));
  call.abort(ENDED);
}

function tell(members: readonly Wanted[], answer: Answer): void {
  for (const each of members) each.tell(answer);
}

/** It is the key or the rate that is refused, for whatever it is asked. */
function isRefused(answer: HttpAnswer): boolean {
  return isUnauthorized(answer) || (answer.kind === "status" && answer.status === 429);
}

/** Bad, too long or too many ids: fewer may be answered. */
const SPOILT: ReadonlySet<number> = new Set([400, 408, 413, 414, 422, 431]);

function isSpoilt(status: number): boolean {
  return status >= 500 || SPOILT.has(status);
}

/** The same trouble has the same words, however many were asked about. */
function inNameOfOne(answer: Extract<HttpAnswer, { kind: "unreachable" | "malformed" }>): Answer {
  const { failure } = answer;
  const { operation } = SANDBOX_LOOKUP;
  const message = failure.message.replace(BATCH_LOOKUP.operation, operation);
  return { ...answer, failure: { ...failure, operation, message } };
}
