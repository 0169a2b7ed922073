/**
 * Everything that goes to an API which all runs share passes here, and the API's answers decide how much gets through:
 * fewer calls at once after a 429, none during the pause that a Retry-After asks for, none while a circuit is open.
 *
 * Each kind of question has a circuit of its own. A deletion or a side question that keeps failing must not keep runs
 * from being verified, and without new keys the runs whose keys are known go on. Only the main question stops everything.
 *
 * A call waits for its turn, for the end of a short pause and for a call that tries a half-open circuit. None of that
 * counts against its budget. What would take longer is refused: nothing was sent then.
 */
import type { ApiRestraint, Clock, SharedApi } from "../../watchdog/ports.ts";
import { abortable } from "./abortable.ts";
import { AdaptiveLimit } from "./adaptive-limit.ts";
import type { CallBudget } from "./call-budget.ts";
import { type GatedCall, isFair, type Outcome, outcomeOf } from "./call-outcome.ts";
import { Circuit } from "./circuit.ts";
import type { CallName, NotAsked } from "./failure.ts";
import type { Answer, HttpAnswer, HttpClient } from "./http-client.ts";
import { type Owner, ownerName } from "./owner.ts";
import { LONGEST_PAUSE_MS } from "./retry-after.ts";

export interface ApiGateOptions {
  readonly http: Pick<HttpClient, "request">;
  readonly clock: Pick<Clock, "monotonicMs" | "sleep">;
  /** Calls at once, while the API does not ask for fewer. */
  readonly concurrency: number;
  /** The question without which nothing can be learned about any run. */
  readonly main: CallName;
}

/** A longer pause is not waited for. */
const WAITED_FOR_MS = 5_000;

type Obstacle = NotAsked | { readonly kind: "wait"; wait(signal: AbortSignal): Promise<void> };

export class ApiGate implements SharedApi {
  readonly #http: ApiGateOptions["http"];
  readonly #clock: ApiGateOptions["clock"];
  readonly #main: CallName;
  readonly #limit: AdaptiveLimit;
  /** By operation. */
  readonly #circuits = new Map<string, Circuit>();
  #pausedUntilMs = 0;

  constructor(options: ApiGateOptions) {
    this.#http = options.http;
    this.#clock = options.clock;
    this.#main = options.main;
    this.#limit = new AdaptiveLimit(options.concurrency);
  }

  get restraint(): ApiRestraint {
    return { pausedForMs: Math.ceil(this.#pauseMs), concurrency: this.#limit.reducedTo };
  }

  /** The worst of all circuits. */
  get breaker(): SharedApi["breaker"] {
    const states = [...this.#circuits.values()].map(({ state }) => state);
    if (states.includes("open")) return "open";
    return states.includes("half-open") ? "half-open" : "closed";
  }

  get refusal(): string | null {
    return this.#refusalOf(this.#main)?.reason ?? null;
  }

  restore({ pausedForMs, concurrency }: ApiRestraint): void {
    this.#pauseFor(Math.min(pausedForMs, LONGEST_PAUSE_MS));
    if (concurrency !== null) this.#limit.reduceTo(concurrency);
  }

  /** Like the client's `request`, with the client's promises; or nothing was sent. */
  async request(call: GatedCall, budget: CallBudget, signal: AbortSignal): Promise<Answer> {
    while (true) {
      const refusal = await this.#waitUntilClear(call, signal);
      if (refusal !== null) return refusal;
      const release = await this.#limit.acquire(signal);
      try {
        // Much may have happened in the queue. Slots are for sending: nobody keeps one while waiting for something else.
        if (this.#obstacle(call) === null && !this.#limit.overfull) {
          const { answer } = await this.#circuitOf(call).run(() =>
            this.#send(call, budget, signal),
          );
          return answer;
        }
      } finally {
        release();
      }
    }
  }

  /** The answer to such a call was 401 or 403, and another credential is not to be had. */
  async refused(call: CallName, owner: Owner): Promise<void> {
    await this.#circuitOf(call).refused(ownerName(owner));
  }

  async #waitUntilClear(call: CallName, signal: AbortSignal): Promise<NotAsked | null> {
    while (true) {
      signal.throwIfAborted();
      const obstacle = this.#obstacle(call);
      if (obstacle === null || obstacle.kind === "not-asked") return obstacle;
      await obstacle.wait(signal);
    }
  }

  #obstacle(call: CallName): Obstacle | null {
    const refusal = this.#refusalOf(call);
    if (refusal !== null) return refusal;
    const { trial } = this.#circuitOf(call);
    if (trial !== null) return { kind: "wait", wait: (signal) => abortable(trial, signal) };
    const pauseMs = this.#pauseMs;
    if (pauseMs === 0) return null;
    return { kind: "wait", wait: (signal) => this.#clock.sleep(pauseMs, signal) };
  }

  #refusalOf(call: CallName): NotAsked | null {
    const pauseMs = this.#pauseMs;
    if (pauseMs > WAITED_FOR_MS) return notAsked(this.#main, "asked for a pause", pauseMs);
    for (const name of [this.#main, call]) {
      const { waitMs } = this.#circuitOf(name);
      if (waitMs > 0) return notAsked(name, "keeps failing, its circuit breaker is open", waitMs);
    }
    return null;
  }

  async #send(
    call: GatedCall,
    budget: CallBudget,
    signal: AbortSignal,
  ): Promise<{ readonly answer: HttpAnswer; readonly outcome: Outcome }> {
    const learn = this.#limit.send();
    const fair = isFair(budget);
    const answer = await this.#http.request(call, budget, signal);
    const outcome = outcomeOf(call, answer, fair);
    const isNews = learn(outcome);
    if (answer.kind === "status") this.#pauseFor(answer.retryAfterMs ?? 0);
    // A burst of 429s to calls that were under way together is one refusal, for the circuit as well.
    return { answer, outcome: isNews || outcome !== "rate-limited" ? outcome : "none" };
  }

  get #pauseMs(): number {
    return Math.max(0, this.#pausedUntilMs - this.#clock.monotonicMs());
  }

  #pauseFor(ms: number): void {
    this.#pausedUntilMs = Math.max(this.#pausedUntilMs, this.#clock.monotonicMs() + ms);
  }

  #circuitOf({ operation }: CallName): Circuit {
    const circuit = this.#circuits.get(operation) ?? new Circuit(this.#clock);
    this.#circuits.set(operation, circuit);
    return circuit;
  }
}

function notAsked({ source }: CallName, why: string, retryAfterMs: number): NotAsked {
  return { kind: "not-asked", reason: `${source} ${why}`, retryAfterMs: Math.ceil(retryAfterMs) };
}
