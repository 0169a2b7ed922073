/**
 * One API key per user and organisation, minted when first needed and kept while it is used.
 *
 * Minting is shared: whoever needs the same key at the same time waits for the same call, and an aborted run does not
 * take the key away from the others. The service hands out the same key again and again, so minting anew seldom helps
 * against a 401: it happens once for all the runs that met the rejection, and then not again for a minute.
 */
import type { Clock } from "../../watchdog/ports.ts";
import { Circuit } from "../api-gate/circuit.ts";
import { ownerName } from "../api-gate/owner.ts";
import { RecentMap } from "../api-gate/recent-map.ts";
import type { CannotTell, NotAsked } from "../http/failure.ts";
import { SingleFlight } from "./single-flight.ts";

/** Two keys are the same when they are the same object: equal values can come from different mintings. */
export interface ApiKey {
  readonly value: string;
  /** Before this (monotonic) time it is not replaced. */
  readonly renewableFromMs: number;
  /** For how long the API does not want to be asked with it. */
  readonly circuit: Circuit;
}

export interface KeyOwner {
  readonly userId: string;
  readonly orgId: string;
}

/** `tookMs` is the time the minting took, without the time it waited for its turn. */
export type Minted =
  | { readonly kind: "minted"; readonly value: string; readonly tookMs: number }
  | {
      readonly kind: "failed";
      readonly failure: CannotTell | NotAsked;
      readonly tookMs: number;
    };

export type KeyAnswer =
  | { readonly kind: "key"; readonly key: ApiKey; readonly tookMs: number }
  | Extract<Minted, { kind: "failed" }>;

/** Never rejects because of the remote side, and settles within a bound of its own or when it is aborted. */
export type Mint = (owner: KeyOwner, signal: AbortSignal) => Promise<Minted>;

const RENEW_AT_MOST_EVERY_MS = 60_000;

export class KeyCache {
  readonly #mint: Mint;
  readonly #clock: Pick<Clock, "monotonicMs">;
  readonly #keys: RecentMap<ApiKey>;
  readonly #mintings = new SingleFlight<KeyAnswer>();

  constructor(mint: Mint, clock: Pick<Clock, "monotonicMs">) {
    this.#mint = mint;
    this.#clock = clock;
    this.#keys = new RecentMap(clock);
  }

  async get(owner: KeyOwner, signal: AbortSignal): Promise<KeyAnswer> {
    const name = ownerName(owner);
    const key = this.#keys.get(name);
    if (key !== undefined && !this.#mintings.has(name)) return known(key);
    return await this.#share(owner, 0, signal);
  }

  /**
   * The key to use instead of `rejected`. Answers with `rejected` itself when minting again was of no use a moment ago.
   * A failed minting leaves the old key in place: it may be the auth layer that is ill.
   */
  async renew(owner: KeyOwner, rejected: ApiKey, signal: AbortSignal): Promise<KeyAnswer> {
    const name = ownerName(owner);
    if (!this.#mintings.has(name)) {
      const key = this.#keys.get(name);
      if (key !== undefined && key !== rejected) return known(key);
      if (this.#clock.monotonicMs() < rejected.renewableFromMs) return known(rejected);
    }
    return await this.#share(owner, RENEW_AT_MOST_EVERY_MS, signal);
  }

  #share(owner: KeyOwner, keepForMs: number, signal: AbortSignal): Promise<KeyAnswer> {
    const work = (own: AbortSignal) => this.#mintFor(owner, keepForMs, own);
    return this.#mintings.run(ownerName(owner), work, signal);
  }

  async #mintFor(owner: KeyOwner, keepForMs: number, signal: AbortSignal): Promise<KeyAnswer> {
    const minted = await this.#mint(owner, signal);
    if (minted.kind === "failed") return minted;
    const key = {
      value: minted.value,
      renewableFromMs: this.#clock.monotonicMs() + keepForMs,
      circuit: new Circuit(this.#clock),
    };
    this.#keys.set(ownerName(owner), key);
    return { kind: "key", key, tookMs: minted.tookMs };
  }
}

function known(key: ApiKey): KeyAnswer {
  return { kind: "key", key, tookMs: 0 };
}
