import type { Clock } from "../../watchdog/ports.ts";
import type { Owner } from "../api-gate/circuit.ts";
import type { ApiGate, GatedCall } from "../api-gate/gate.ts";
import { type Answer, isUnauthorized, malformed } from "../http/answer.ts";
import type { CallBudget } from "../http/call.ts";
import { type ApiKey, KEY_MINT, type KeyAnswer, type KeyCache, type KeyOwner } from "./keys.ts";

/** What all sessions share. */
export interface ApiParts {
  readonly gate: ApiGate;
  readonly clock: Pick<Clock, "monotonicMs">;
  readonly keys: KeyCache;
}

export type ApiCall = Omit<GatedCall, "headers" | "guarded" | "credential">;

/** The API calls of one verification or clean-up. A rejected key is replaced at most once, however many calls there are. */
export class ApiSession {
  readonly owner: Owner;
  readonly #parts: ApiParts;
  readonly #budget: CallBudget;
  #key: ApiKey | null = null;
  #renewed = false;

  constructor(parts: ApiParts, owner: Owner, budget: CallBudget) {
    this.#parts = parts;
    this.owner = owner;
    this.#budget = budget;
  }

  /** 401 and 403 come back as the answer only when another key did not help. */
  async send(call: ApiCall, signal: AbortSignal): Promise<Answer> {
    const { userId, orgId } = this.owner;
    if (userId === null || orgId === null) {
      return malformed(KEY_MINT, "was not sent: the automation has no user id or no org id");
    }
    const owner = { userId, orgId };
    const current = await this.#currentKey(owner, signal);
    if (current.kind === "failed") return current.failure;
    const answer = await this.#call(call, current.key, signal);
    if (!isUnauthorized(answer)) return answer;
    const other = await this.#otherKey(owner, current.key, signal);
    const again = other?.kind === "key" ? await this.#call(call, other.key, signal) : answer;
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
    this.#budget.spend(Math.min(answer.tookMs, clock.monotonicMs() - sinceMs));
    if (answer.kind === "key") this.#key = answer.key;
    return answer;
  }

  #call(call: ApiCall, key: ApiKey, signal: AbortSignal): Promise<Answer> {
    const headers = { authorization: `Bearer ${key.value}` };
    const gated = { ...call, headers, guarded: false, credential: key.circuit };
    return this.#parts.gate.request(gated, this.#budget, signal);
  }
}
