import type { Clock } from "../../watchdog/ports.ts";
import type { Semaphore } from "../semaphore.ts";
import { abortable } from "./abortable.ts";
import type { CallBudget } from "./call-budget.ts";
import { type CallName, isUnauthorised, malformed } from "./failure.ts";
import type { Answer, HttpCall, HttpClient } from "./http-client.ts";
import type { ApiKey, KeyAnswer, KeyCache, KeyOwner } from "./key-cache.ts";
import { KEY_MINT } from "./key-mint.ts";

/** What all sessions share. */
export interface ApiParts {
  readonly http: HttpClient;
  readonly clock: Pick<Clock, "monotonicMs">;
  /** One for each call to the API; never two at once for the same work. */
  readonly slots: Semaphore;
  readonly keys: KeyCache;
}

/** As rows have it: both ids can be missing. */
export interface Owner {
  readonly userId: string | null;
  readonly orgId: string | null;
}

export type ApiCall = CallName & Pick<HttpCall, "method" | "url" | "expects">;

/** The API calls of one verification or clean-up. A refused key is replaced at most once, however many calls there are. */
export class ApiSession {
  readonly #parts: ApiParts;
  readonly #owner: Owner;
  readonly #budget: CallBudget;
  readonly #signal: AbortSignal;
  #key: ApiKey | null = null;
  #renewed = false;

  constructor(parts: ApiParts, owner: Owner, budget: CallBudget, signal: AbortSignal) {
    this.#parts = parts;
    this.#owner = owner;
    this.#budget = budget;
    this.#signal = signal;
  }

  /** 401 and 403 come back as the answer only when another key did not help. */
  async send(call: ApiCall): Promise<Answer> {
    const { userId, orgId } = this.#owner;
    if (userId === null || orgId === null) {
      return malformed(KEY_MINT, "was not sent: the automation has no user id or no org id");
    }
    const owner = { userId, orgId };
    const current = await this.#currentKey(owner);
    if (current.kind === "failed") return current.failure;
    const answer = await this.#call(call, current.key);
    if (answer.kind !== "status" || !isUnauthorised(answer.status) || this.#renewed) return answer;
    return await this.#sendRenewed(call, owner, current.key, answer);
  }

  async #currentKey(owner: KeyOwner): Promise<KeyAnswer> {
    if (this.#key !== null) return { kind: "key", key: this.#key, tookMs: 0 };
    return await this.#awaitKey(this.#parts.keys.get(owner));
  }

  async #sendRenewed(
    call: ApiCall,
    owner: KeyOwner,
    refused: ApiKey,
    refusal: Answer,
  ): Promise<Answer> {
    this.#renewed = true;
    const renewed = await this.#awaitKey(this.#parts.keys.renew(owner, refused));
    if (renewed.kind === "failed") return renewed.failure;
    return renewed.key === refused ? refusal : await this.#call(call, renewed.key);
  }

  /** The minting is shared with other runs; this one pays for as much of it as it waited for. */
  async #awaitKey(minting: Promise<KeyAnswer>): Promise<KeyAnswer> {
    const { clock } = this.#parts;
    const sinceMs = clock.monotonicMs();
    const answer = await abortable(minting, this.#signal);
    this.#budget.spend(Math.min(answer.tookMs, clock.monotonicMs() - sinceMs));
    if (answer.kind === "key") this.#key = answer.key;
    return answer;
  }

  async #call(call: ApiCall, key: ApiKey): Promise<Answer> {
    const { http, slots } = this.#parts;
    const headers = { authorization: `Bearer ${key.value}` };
    return await slots.run(
      () => http.request({ ...call, headers, guarded: false }, this.#budget, this.#signal),
      this.#signal,
    );
  }
}
