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
import type { ClockReading } from "../../rules/clock-skew.ts";
import { shareOf } from "../../rules/fleet/shard.ts";
import type { ApiThrottle, Clock, SharedApi } from "../../watchdog/ports.ts";
import { type Answer, cannotTell, type HttpAnswer, type NotAsked } from "../http/answer.ts";
import type { CallBudget, CallName, HttpCall } from "../http/call.ts";
import type { HttpClient } from "../http/client.ts";
import { abortable } from "../http/deadline.ts";
import { DATE_PRECISION_MS, LONGEST_PAUSE_MS } from "../http/response.ts";
import { AdaptiveLimit } from "./adaptive-limit.ts";
import { Circuit, type Outcome, type Owner, ownerName } from "./circuit.ts";

export interface ApiGateOptions {
  readonly http: Pick<HttpClient, "request">;
  readonly clock: Pick<Clock, "now" | "monotonicMs" | "sleep">;
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
  /**
   * The call that it makes for several at once. It shares that one's circuit, but a status that tells of a failure does
   * not count there: a single one of the several may be the cause.
   */
  readonly standsFor?: CallName;
}

/** What is known of a call before its turn has come. */
export type Waiting = Pick<GatedCall, "source" | "operation" | "credential">;

/** What is sent when its turn has come. */
export interface Prepared {
  readonly call: GatedCall;
  readonly budget: CallBudget;
}

/** A pause that so many credentials in a row are asked for holds for all. */
const SEVERAL = 3;

/** A call waits no longer than this. */
const WAITED_FOR_MS = 5_000;

export class ApiGate implements SharedApi {
  readonly #http: ApiGateOptions["http"];
  readonly #clock: ApiGateOptions["clock"];
  readonly #main: CallName;
  readonly #mainCircuit: Circuit;
  readonly #limit: AdaptiveLimit;
  readonly #concurrency: number;
  /** By operation. */
  readonly #circuits = new Map<string, Circuit>();
  /** Those that are half-open, with a call under way that decides. */
  readonly #tried = new Set<Circuit>();
  /** Of the credentials that got a pause in a row, those that have to wait longest. */
  #pausedInARow: readonly Circuit[] = [];
  #sent = 0;
  /** Answers come in bursts: those to calls sent before a rejection say nothing new. */
  #sentBeforeRejection = 0;
  #clockReading: ClockReading | null = null;

  constructor(options: ApiGateOptions) {
    this.#http = options.http;
    this.#clock = options.clock;
    this.#main = options.main;
    this.#mainCircuit = this.#circuitOf(options.main);
    this.#limit = new AdaptiveLimit(options.concurrency);
    this.#concurrency = options.concurrency;
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
    const obstacle = this.#obstacle(this.#main);
    return obstacle !== null && obstacle.retryAfterMs > WAITED_FOR_MS ? obstacle.reason : null;
  }

  get clock(): ClockReading | null {
    return this.#clockReading;
  }

  /** Of the calls at once, so many of `count` parts are ours to make; others make the rest. */
  share(held: number, count: number): void {
    this.#limit.shareTo(shareOf(this.#concurrency, held, count));
  }

  restore({ pausedForMs, concurrency }: ApiThrottle): void {
    this.#mainCircuit.pause(Math.min(pausedForMs, LONGEST_PAUSE_MS));
    if (concurrency !== null) this.#limit.reduceTo(concurrency);
  }

  /** Like the client's `request`, with the client's promises; or nothing was sent. */
  request(call: GatedCall, budget: CallBudget, signal: AbortSignal): Promise<Answer> {
    return this.requestWhenDue(call, () => ({ call, budget }), signal);
  }

  /**
   * As `request`, but what is sent is put together only when its turn has come, so that what came to wait meanwhile can
   * go along. It must have the same circuits.
   */
  async requestWhenDue(
    call: Waiting,
    prepare: () => Prepared,
    signal: AbortSignal,
  ): Promise<Answer> {
    while (true) {
      signal.throwIfAborted();
      const obstacle = this.#obstacle(call);
      if (obstacle !== null && obstacle.retryAfterMs > WAITED_FOR_MS) return obstacle;
      if (obstacle !== null) await this.#clock.sleep(obstacle.retryAfterMs, signal);
      else if (this.#hasToWait(call)) await abortable(this.#limit.ended, signal);
      else return await this.#limit.run(() => this.#send(prepare, signal));
    }
  }

  /** The answer to such a call was 401 or 403, and there is no other credential. */
  unauthorized(call: CallName, owner: Owner): void {
    this.#tell(call, "failure", ownerName(owner));
  }

  get #pausedMs(): number {
    return Math.max(this.#severalPausedMs, this.#mainCircuit.pausedMs);
  }

  get #severalPausedMs(): number {
    return this.#pausedInARow[SEVERAL - 1]?.pausedMs ?? 0;
  }

  /** What the call has to wait for longest; `null` when it may go at once. */
  #obstacle(call: Waiting): NotAsked | null {
    const { source: main } = this.#main;
    const { source, credential: own } = call;
    const waitsMs = [
      this.#pausedMs,
      this.#mainCircuit.openMs,
      this.#circuitOf(call).openMs,
      own?.pausedMs ?? 0,
      own?.openMs ?? 0,
    ];
    const longestMs = Math.max(...waitsMs);
    if (longestMs === 0) return null;
    const retryAfterMs = Math.ceil(longestMs);
    const obstacles = [
      [`${main} asked for a pause`, true],
      [`${main} ${FAILING}`, true],
      [`${source} ${FAILING}`, true],
      [`${source} asked for a pause for one owner`, false],
      [`${source} keeps refusing one owner`, false],
    ] as const;
    const [reason, everybody] = obstacles[waitsMs.indexOf(longestMs)] ?? obstacles[0];
    return { kind: "not-asked", reason, retryAfterMs, everybody };
  }

  /** Whether another call must end first: the limit is reached, or one is trying a half-open circuit. */
  #hasToWait(call: Waiting): boolean {
    if (this.#limit.isReached) return true;
    return this.#tried.size > 0 && this.#circuitsOf(call).some((each) => this.#tried.has(each));
  }

  async #send(prepare: () => Prepared, signal: AbortSignal): Promise<HttpAnswer> {
    const { call, budget } = prepare();
    this.#sent += 1;
    const number = this.#sent;
    // After a slow agent server little may be left of a verification's time, and running out of it proves nothing.
    const fair = budget.leftMs >= budget.totalMs / 2;
    const sentMs = this.#clock.now().getTime();
    const tries = this.#circuitsOf(call).filter(({ state }) => state === "half-open");
    for (const circuit of tries) this.#tried.add(circuit);
    let answer: HttpAnswer;
    try {
      answer = await this.#http.request(call, budget, signal);
    } finally {
      for (const circuit of tries) this.#tried.delete(circuit);
    }
    this.#readClock(answer, sentMs);
    const outcome = outcomeOf(call, answer, fair);
    const pauseMs = answer.kind === "status" ? (answer.retryAfterMs ?? 0) : 0;
    if (number > this.#sentBeforeRejection) this.#learn(call, outcome, pauseMs);
    const isMain = (call.standsFor ?? call).operation === this.#main.operation;
    if (outcome === "success" && isMain) this.#pausedInARow = [];
    if (pauseMs > 0) this.#pause(call, pauseMs);
    return answer;
  }

  #readClock(answer: HttpAnswer, sentMs: number): void {
    if (!("dateMs" in answer) || answer.dateMs === null) return;
    const receivedMs = this.#clock.now().getTime();
    const theirMs = answer.dateMs;
    this.#clockReading = { theirMs, sentMs, receivedMs, precisionMs: DATE_PRECISION_MS };
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
    const paused = credential ?? this.#mainCircuit;
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

  #circuitsOf(call: Waiting): readonly Circuit[] {
    const { credential } = call;
    return credential === undefined ? [this.#circuitOf(call)] : [this.#circuitOf(call), credential];
  }

  #circuitOf(call: CallName & Pick<GatedCall, "standsFor">): Circuit {
    const { operation } = call.standsFor ?? call;
    const known = this.#circuits.get(operation);
    if (known !== undefined) return known;
    const circuit = new Circuit(this.#clock);
    this.#circuits.set(operation, circuit);
    return circuit;
  }
}

const FAILING = "keeps failing, its circuit breaker is open";

/** @param fair whether the call had time enough for its timeout to count. */
function outcomeOf(call: GatedCall, answer: HttpAnswer, fair: boolean): Outcome {
  const isUsable = call.isUsable ?? isAnswer;
  if (isUsable(answer)) return "success";
  // A wrong call, answer or credential is no fault of the API.
  const { kind } = cannotTell(call, answer).failure;
  if (kind === "unknown") return "none";
  if (kind === "rate_limited") return "rate-limited";
  if (answer.kind === "status" && call.standsFor !== undefined) return "none";
  return answer.kind === "unreachable" && kind === "timeout" && !fair ? "none" : "failure";
}

function isAnswer(answer: HttpAnswer): boolean {
  return answer.kind === "json" || (answer.kind === "status" && answer.status < 300);
}
