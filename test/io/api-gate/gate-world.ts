/** A gate on a fake clock, before a client whose calls end when the test says so. */

import { ApiGate, type GatedCall } from "../../../src/io/api-gate/gate.ts";
import { type Answer, type HttpAnswer, malformed, timedOut } from "../../../src/io/http/answer.ts";
import { CallBudget, type CallName } from "../../../src/io/http/call.ts";
import { FakeClock, settle } from "../../support/memory/fake-clock.ts";
import { calm } from "../http/world.ts";

export const MAIN: CallName = { source: "sandbox_api", operation: "get_sandbox" };
export const MINT: CallName = { source: "service_api", operation: "mint_api_key" };
export const DELETE: CallName = { source: "sandbox_api", operation: "delete_sandbox" };

export const PAUSED = "sandbox_api asked for a pause";
export const PAUSED_ONE = "sandbox_api asked for a pause for one owner";
export const FAILING = "sandbox_api keeps failing, its circuit breaker is open";

export const ok: HttpAnswer = { kind: "json", status: 200, body: {}, dateMs: null };
export const timeout: HttpAnswer = timedOut(MAIN, "complete answer", 30_000);
export const garbage: HttpAnswer = malformed(MAIN, "answered with something that is not JSON");

export function status(code: number, retryAfterMs: number | null = null): HttpAnswer {
  return { kind: "status", status: code, retryAfterMs, dateMs: null };
}

export interface Sent {
  readonly call: GatedCall;
  readonly atMs: number;
  /** What was allowed at once when it was sent. */
  readonly limit: number;
  readonly inFlight: number;
  readonly pausedForMs: number;
  /** How long its credential was not to be used. */
  readonly ownMs: number;
  readonly breaker: ApiGate["breaker"];
  readonly answer: (answer: HttpAnswer) => Promise<void>;
}

export interface Ask {
  readonly name?: CallName;
  readonly call?: Partial<GatedCall>;
  readonly budget?: CallBudget;
  readonly signal?: AbortSignal;
}

export class GateWorld {
  readonly clock = new FakeClock();
  readonly gate: ApiGate;
  readonly concurrency: number;
  /** Everything that was sent, in its order. */
  readonly sent: Sent[] = [];
  /** What was asked and has no answer yet. */
  readonly open: Sent[] = [];

  constructor(concurrency = 8) {
    this.concurrency = concurrency;
    const { clock } = this;
    const request = (call: GatedCall, budget: CallBudget, signal: AbortSignal) =>
      this.#request(call, budget, signal);
    this.gate = new ApiGate({ http: { request }, clock, concurrency, main: MAIN });
  }

  ask(ask: Ask = {}): Promise<Answer> {
    const { name = MAIN, budget = new CallBudget(30_000), signal = calm() } = ask;
    const url = new URL("https://api.example/");
    const call = { ...name, method: "GET", url, headers: {}, expects: "json" } as const;
    return this.gate.request({ ...call, guarded: false, ...ask.call }, budget, signal);
  }

  /** Asks and answers at once. */
  async end(answer: HttpAnswer, ask: Ask = {}): Promise<Answer> {
    const asked = this.ask(ask);
    await settle();
    await this.open.at(-1)?.answer(answer);
    return await asked;
  }

  async endAll(answer: HttpAnswer, times: number, ask: Ask = {}): Promise<void> {
    for (let call = 0; call < times; call += 1) await this.end(answer, ask);
  }

  /** How many are allowed at once. */
  get limit(): number {
    return this.gate.throttle.concurrency ?? this.concurrency;
  }

  async #request(call: GatedCall, budget: CallBudget, signal: AbortSignal): Promise<HttpAnswer> {
    signal.throwIfAborted();
    if (budget.leftMs === 0) return timeout;
    const { promise, resolve, reject } = Promise.withResolvers<HttpAnswer>();
    const sent: Sent = {
      call,
      atMs: this.clock.monotonicMs(),
      limit: this.limit,
      inFlight: this.open.length + 1,
      pausedForMs: this.gate.throttle.pausedForMs,
      ownMs: Math.max(call.credential?.pausedMs ?? 0, call.credential?.openMs ?? 0),
      breaker: this.gate.breaker,
      answer: async (answer) => {
        this.#close(sent);
        resolve(answer);
        await settle();
      },
    };
    this.sent.push(sent);
    this.open.push(sent);
    const onAbort = () => {
      this.#close(sent);
      reject(signal.reason);
    };
    signal.addEventListener("abort", onAbort, { once: true });
    return await promise;
  }

  #close(sent: Sent): void {
    const index = this.open.indexOf(sent);
    if (index >= 0) this.open.splice(index, 1);
  }
}
