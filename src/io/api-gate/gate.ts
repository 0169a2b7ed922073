/**
 * All calls to an API that is shared by all runs pass here, and the API's answers decide how many get through:
 * fewer calls at once after a 429, none during the pause that a Retry-After asks for, none while a circuit is open.
 *
 * Each operation has a circuit: deletions or minor calls that keep failing must not keep runs from being verified, and
 * without new keys the runs whose keys are known go on. Only the main call's circuit stops everything. Each credential
 * has one as well: 429 and Retry-After concern the credential that got them. When several credentials in a row get a
 * pause, with no answer to the main call in between, it holds for all, as long as so many of them have to wait.
 *
 * A call waits for its turn, for a pause that ends soon, and for a call that tries a half-open circuit. Waiting does not
 * count against its budget. A call that would have to wait longer is not sent.
 */
import type { ApiThrottle, Clock, SharedApi } from "../../watchdog/ports.ts";
import { type Answer, cannotTell, type HttpAnswer, type NotAsked } from "../http/answer.ts";
import type { CallBudget, CallName, HttpCall } from "../http/call.ts";
import type { HttpClient } from "../http/client.ts";
import { abortable } from "../http/deadline.ts";
import { LONGEST_PAUSE_MS } from "../http/response.ts";
import { AdaptiveLimit } from "./adaptive-limit.ts";
import { Circuit, type Outcome, type Owner, ownerName } from "./circuit.ts";

export interface ApiGateOptions {
  readonly http: Pick<HttpClient, "request">;
  readonly clock: Pick<Clock, "monotonicMs" | "sleep">;
  /** Calls at once, while the API does not ask for fewer. */
  readonly concurrency: number;
  /** The call without which nothing can be learned about any run. */
  readonly main: CallName;
}

/** A call, and which of its answers are what was asked for. */
export interface GatedCall extends HttpCall {
  /** The circuit of its credential; left out when all runs share the credential. */
  readonly credential?: Circuit;
  /** By default JSON, or a status below 300. */
  readonly isUsable?: (answer: HttpAnswer) => boolean;
}

/** A pause that so many credentials in a row are asked for holds for all. */
const SEVERAL = 3;

/** A call waits no longer than this. */
const WAITED_FOR_MS = 5_000;

export class ApiGate implements SharedApi {
  readonly #http: ApiGateOptions["http"];
  readonly #clock: ApiGateOptions["clock"];
  readonly #main: CallName;
  readonly #limit: AdaptiveLimit;
  /** By operation. */
  readonly #circuits = new Map<string, Circuit>();
  /** Those that are half-open, with a call under way that decides. */
  readonly #tried = new Set<Circuit>();
  /** Of the credentials that got a pause in a row, those that have to wait longest. */
  #pausedInARow: readonly Circuit[] = [];
  #sent = 0;
  /** Answers come in bursts: those to calls sent before a rejection say nothing new. */
  #sentBeforeRejection = 0;

  constructor(options: ApiGateOptions) {
    this.#http = options.http;
    this.#clock = options.clock;
    this.#main = options.main;
    this.#limit = new AdaptiveLimit(options.concurrency);
  }

  get throttle(): ApiThrottle {
    return { pausedForMs: Math.ceil(this.#pausedMs), concurrency: this.#limit.reducedTo };
  }

  /** The worst of all operations' circuits. */
  get breaker(): SharedApi["breaker"] {
    const states = [...this.#circuits.values()].map(({ state }) => state);
    if (states.includes("open")) return "open";
    return states.includes("half-open") ? "half-open" : "closed";
  }

  get blockedReason(): string | null {
    const { reason, retryAfterMs } = this.#obstacle(this.#main);
    return retryAfterMs > WAITED_FOR_MS ? reason : null;
  }

  restore({ pausedForMs, concurrency }: ApiThrottle): void {
    this.#circuitOf(this.#main).pause(Math.min(pausedForMs, LONGEST_PAUSE_MS));
    if (concurrency !== null) this.#limit.reduceTo(concurrency);
  }

  /** Like the client's `request`, with the client's promises; or nothing was sent. */
  async request(call: GatedCall, budget: CallBudget, signal: AbortSignal): Promise<Answer> {
    while (true) {
      signal.throwIfAborted();
      const obstacle = this.#obstacle(call);
      const { retryAfterMs } = obstacle;
      if (retryAfterMs > WAITED_FOR_MS) return obstacle;
      if (retryAfterMs > 0) await this.#clock.sleep(retryAfterMs, signal);
      else if (this.#hasToWait(call)) await abortable(this.#limit.ended, signal);
      else return await this.#limit.run(() => this.#try(call, budget, signal));
    }
  }

  /** The answer to such a call was 401 or 403, and there is no other credential. */
  unauthorized(call: CallName, owner: Owner): void {
    this.#tell(call, "failure", ownerName(owner));
  }

  get #pausedMs(): number {
    return Math.max(this.#severalPausedMs, this.#circuitOf(this.#main).pausedMs);
  }

  get #severalPausedMs(): number {
    return this.#pausedInARow[SEVERAL - 1]?.pausedMs ?? 0;
  }

  /** What the call has to wait for longest; 0 ms when it may go at once. */
  #obstacle(call: CallName & Pick<GatedCall, "credential">): NotAsked {
    const main = this.#main.source;
    const { source, credential: own } = call;
    const obstacles = [
      notAsked(`${main} asked for a pause`, this.#pausedMs, true),
      notAsked(`${main} ${FAILING}`, this.#circuitOf(this.#main).openMs, true),
      notAsked(`${source} ${FAILING}`, this.#circuitOf(call).openMs, true),
      notAsked(`${source} asked for a pause for one owner`, own?.pausedMs ?? 0, false),
      notAsked(`${source} keeps refusing one owner`, own?.openMs ?? 0, false),
    ];
    return obstacles.reduce((a, b) => (b.retryAfterMs > a.retryAfterMs ? b : a));
  }

  /** Whether another call must end first: the limit is reached, or one is trying a half-open circuit. */
  #hasToWait(call: GatedCall): boolean {
    return this.#limit.isReached || this.#circuitsOf(call).some((each) => this.#tried.has(each));
  }

  async #try(call: GatedCall, budget: CallBudget, signal: AbortSignal): Promise<HttpAnswer> {
    const tries = this.#circuitsOf(call).filter(({ state }) => state === "half-open");
    for (const circuit of tries) this.#tried.add(circuit);
    try {
      return await this.#send(call, budget, signal);
    } finally {
      for (const circuit of tries) this.#tried.delete(circuit);
    }
  }

  async #send(call: GatedCall, budget: CallBudget, signal: AbortSignal): Promise<HttpAnswer> {
    this.#sent += 1;
    const number = this.#sent;
    // After a slow agent server little may be left of a verification's time, and running out of it proves nothing.
    const fair = budget.leftMs >= budget.totalMs / 2;
    const answer = await this.#http.request(call, budget, signal);
    const outcome = outcomeOf(call, answer, fair);
    const pauseMs = answer.kind === "status" ? (answer.retryAfterMs ?? 0) : 0;
    if (number > this.#sentBeforeRejection) this.#learn(call, outcome, pauseMs);
    if (outcome === "success" && call.operation === this.#main.operation) this.#pausedInARow = [];
    if (pauseMs > 0) this.#pause(call, pauseMs);
    return answer;
  }

  #learn(call: GatedCall, outcome: Outcome, pauseMs: number): void {
    const { credential } = call;
    const rejected = outcome === "rate-limited" || pauseMs > 0;
    if (rejected) this.#sentBeforeRejection = this.#sent;
    this.#limit.learn(outcome);
    if (rejected || outcome === "success") credential?.learn(outcome);
    const whose = rejected ? credential : undefined;
    // A pause says when to go on, and concerns nobody else.
    if (whose === undefined || pauseMs === 0) this.#tell(call, outcome, whose);
  }

  #pause({ credential }: GatedCall, ms: number): void {
    const paused = credential ?? this.#circuitOf(this.#main);
    paused.pause(ms);
    if (credential === undefined) return;
    const before = this.#severalPausedMs;
    this.#pausedInARow = [...new Set([credential, ...this.#pausedInARow])]
      .sort((a, b) => b.pausedMs - a.pausedMs)
      .slice(0, SEVERAL);
    if (before === 0 && this.#severalPausedMs > 0) this.#tell(this.#main, "rate-limited");
  }

  #tell(call: CallName, outcome: Outcome, whose?: string | Circuit): void {
    if (this.#circuitOf(call).learn(outcome, whose)) this.#sentBeforeRejection = this.#sent;
  }

  #circuitsOf(call: GatedCall): readonly Circuit[] {
    const { credential } = call;
    return credential === undefined ? [this.#circuitOf(call)] : [this.#circuitOf(call), credential];
  }

  #circuitOf({ operation }: CallName): Circuit {
    const circuit = this.#circuits.get(operation) ?? new Circuit(this.#clock);
    this.#circuits.set(operation, circuit);
    return circuit;
  }
}

const FAILING = "keeps failing, its circuit breaker is open";

function notAsked(reason: string, waitMs: number, everybody: boolean): NotAsked {
  return { kind: "not-asked", reason, retryAfterMs: Math.ceil(waitMs), everybody };
}

/** @param fair whether the call had time enough for its timeout to count. */
function outcomeOf(call: GatedCall, answer: HttpAnswer, fair: boolean): Outcome {
  const isUsable = call.isUsable ?? isAnswer;
  if (isUsable(answer)) return "success";
  // A wrong call, answer or credential is no fault of the API.
  const { kind } = cannotTell(call, answer).failure;
  if (kind === "unknown") return "none";
  if (kind === "rate_limited") return "rate-limited";
  return answer.kind === "unreachable" && kind === "timeout" && !fair ? "none" : "failure";
}

function isAnswer(answer: HttpAnswer): boolean {
  return answer.kind === "json" || (answer.kind === "status" && answer.status < 300);
}
