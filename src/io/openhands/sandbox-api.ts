/** The OpenHands app server: mints keys, knows sandboxes, deletes them. All tenants share it, and it answers 429. */
import type { CleanupResult, CleanupTarget, Clock, PauseResult } from "../../watchdog/ports.ts";
import type { Owner } from "../api-gate/circuit.ts";
import { ApiGate, type ApiGateOptions, type GatedCall } from "../api-gate/gate.ts";
import {
  type Answer,
  cannotTell,
  cleanupFailed,
  isCleanupAnswer,
  isUnauthorized,
  malformed,
  readCleanup,
} from "../http/answer.ts";
import {
  CallBudget,
  type CallName,
  pathSegment,
  type Query,
  type Secret,
  urlBelow,
} from "../http/call.ts";
import { type ApiKey, KEY_MINT, type KeyAnswer, KeyCache, type KeyOwner, mintKey } from "./keys.ts";
import { Lookups } from "./lookups.ts";
import { readSandbox, SANDBOX_LOOKUP, type SandboxAnswer } from "./sandbox-record.ts";
import { SingleFlight } from "./single-flight.ts";

/** `concurrency` counts calls to the app server, over all runs and clean-ups. */
export interface SandboxApiOptions extends Omit<ApiGateOptions, "main"> {
  readonly baseUrl: string;
  readonly serviceKey: Secret<string>;
  /** Time in calls that one verification, clean-up or key minting may take. */
  readonly verifyTimeoutMs: number;
}

const DELETION = { source: "sandbox_api", operation: "delete_sandbox", method: "DELETE" } as const;
const PAUSE = { source: "sandbox_api", operation: "pause_sandbox", method: "POST" } as const;

export class SandboxApi {
  readonly gate: ApiGate;
  readonly #baseUrl: URL;
  readonly #timeoutMs: number;
  readonly #parts: ApiParts;
  readonly #lookups: Lookups;
  readonly #asked = new SingleFlight<SandboxAnswer>();

  constructor(options: SandboxApiOptions) {
    const { clock, serviceKey, verifyTimeoutMs: timeoutMs } = options;
    const baseUrl = new URL(options.baseUrl);
    const gate = new ApiGate({ ...options, main: SANDBOX_LOOKUP });
    const mintOptions = { gate, baseUrl, serviceKey, timeoutMs };
    const keys = new KeyCache((owner, signal) => mintKey(mintOptions, owner, signal), clock);
    this.gate = gate;
    this.#baseUrl = baseUrl;
    this.#timeoutMs = timeoutMs;
    this.#parts = { gate, clock, keys };
    this.#lookups = new Lookups({ gate, clock, baseUrl, timeoutMs });
  }

  session(owner: Owner, budget: CallBudget): ApiSession {
    return new ApiSession(this.#parts, owner, budget);
  }

  /** Callers that ask the same at the same time share one look-up, and look-ups with the same key share calls. */
  lookup(session: ApiSession, sandboxId: string, signal: AbortSignal): Promise<SandboxAnswer> {
    const { userId, orgId } = session.owner;
    const question = JSON.stringify([userId, orgId, sandboxId]);
    return this.#asked.run(question, (own) => this.#ask(session, sandboxId, own), signal);
  }

  delete(target: CleanupTarget, signal: AbortSignal): Promise<CleanupResult> {
    // Older app servers read the id from the query, newer ones from the path.
    return this.#change(DELETION, target, "", { sandbox_id: target.sandboxId }, signal);
  }

  async pause(target: CleanupTarget, signal: AbortSignal): Promise<PauseResult> {
    const result = await this.#change(PAUSE, target, "/pause", {}, signal);
    return result.kind === "deleted" ? { kind: "paused" } : result;
  }

  async #ask(session: ApiSession, sandboxId: string, signal: AbortSignal): Promise<SandboxAnswer> {
    const ask = (key: ApiKey) => this.#lookups.ask(key, sandboxId, session.budget, signal);
    const answer = await session.ask(SANDBOX_LOOKUP, ask, signal);
    if (answer.kind === "json") return readSandbox(answer.body, sandboxId);
    return cannotTell(SANDBOX_LOOKUP, answer);
  }

  async #change(
    name: Pick<ApiCall, "source" | "operation" | "method">,
    target: CleanupTarget,
    path: string,
    query: Query,
    signal: AbortSignal,
  ): Promise<CleanupResult> {
    signal.throwIfAborted();
    const segment = pathSegment(target.sandboxId);
    if (segment === null) {
      return cleanupFailed(malformed(name, "was not sent: the sandbox id is unusable"));
    }
    const url = urlBelow(this.#baseUrl, `/api/v1/sandboxes/${segment}${path}`, query);
    const session = this.session(target, new CallBudget(this.#timeoutMs));
    const call = { ...name, url, expects: "nothing", isUsable: isCleanupAnswer } as const;
    return readCleanup(name, await session.send(call, signal));
  }
}

/** What all sessions share. */
interface ApiParts {
  readonly gate: ApiGate;
  readonly clock: Pick<Clock, "monotonicMs">;
  readonly keys: KeyCache;
}

type ApiCall = Omit<GatedCall, "headers" | "guarded" | "credential">;

/** The API calls of one verification or clean-up. A rejected key is replaced at most once, however many calls there are. */
export class ApiSession {
  readonly owner: Owner;
  readonly budget: CallBudget;
  readonly #parts: ApiParts;
  #key: ApiKey | null = null;
  #renewed = false;

  constructor(parts: ApiParts, owner: Owner, budget: CallBudget) {
    this.#parts = parts;
    this.owner = owner;
    this.budget = budget;
  }

  send(call: ApiCall, signal: AbortSignal): Promise<Answer> {
    return this.ask(call, (key) => this.#call(call, key, signal), signal);
  }

  /** 401 and 403 come back as the answer only when another key did not help. */
  async ask(
    call: CallName,
    askWith: (key: ApiKey) => Promise<Answer>,
    signal: AbortSignal,
  ): Promise<Answer> {
    const { userId, orgId } = this.owner;
    if (userId === null || orgId === null) {
      return malformed(KEY_MINT, "was not sent: the automation has no user id or no org id");
    }
    const owner = { userId, orgId };
    const current = await this.#currentKey(owner, signal);
    if (current.kind === "failed") return current.failure;
    const answer = await askWith(current.key);
    if (!isUnauthorized(answer)) return answer;
    const other = await this.#otherKey(owner, current.key, signal);
    const again = other?.kind === "key" ? await askWith(other.key) : answer;
    if (isUnauthorized(again)) this.#parts.gate.unauthorized(call, owner);
    const mintFailed = other?.kind === "failed" && other.failure.kind !== "not-asked";
    return mintFailed ? other.failure : again;
  }

  async #currentKey(owner: KeyOwner, signal: AbortSignal): Promise<KeyAnswer> {
    if (this.#key !== null) return { kind: "key", key: this.#key, tookMs: 0 };
    return await this.#awaitKey(this.#parts.keys.get(owner, signal));
  }

  /** @returns `null` when there is no other key to try. */
  async #otherKey(
    owner: KeyOwner,
    rejected: ApiKey,
    signal: AbortSignal,
  ): Promise<KeyAnswer | null> {
    if (this.#renewed) return null;
    this.#renewed = true;
    const renewed = await this.#awaitKey(this.#parts.keys.renew(owner, rejected, signal));
    return renewed.kind === "key" && renewed.key === rejected ? null : renewed;
  }

  /** The minting is shared with other runs; this one pays for as much of it as it waited for. */
  async #awaitKey(minting: Promise<KeyAnswer>): Promise<KeyAnswer> {
    const { clock } = this.#parts;
    const sinceMs = clock.monotonicMs();
    const answer = await minting;
    this.budget.spend(Math.min(answer.tookMs, clock.monotonicMs() - sinceMs));
    if (answer.kind === "key") this.#key = answer.key;
    return answer;
  }

  #call(call: ApiCall, key: ApiKey, signal: AbortSignal): Promise<Answer> {
    const headers = { authorization: `Bearer ${key.value}` };
    const gated = { ...call, headers, guarded: false, credential: key.circuit };
    return this.#parts.gate.request(gated, this.budget, signal);
  }
}
