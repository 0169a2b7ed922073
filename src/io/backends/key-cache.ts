/**
 * One API key per user and organisation, minted when first needed and kept for the life of the process.
 *
 * Minting is shared: whoever needs the same key at the same time waits for the same call, and an aborted run does not
 * take the key away from the others. The service hands out the same key again and again, so minting anew seldom helps
 * against a 401: it happens once for all the runs that met the refusal, and then not again for a minute.
 */
import type { Clock } from "../../watchdog/ports.ts";
import type { CannotTell } from "./failure.ts";

/** Two keys are the same when they are the same object: equal values can come from different mintings. */
export interface ApiKey {
  readonly value: string;
  /** Before this (monotonic) time it is not replaced. */
  readonly renewableFromMs: number;
}

export interface KeyOwner {
  readonly userId: string;
  readonly orgId: string;
}

/** `tookMs` is the time the minting took, without the time it waited for its turn. */
export type Minted =
  | { readonly kind: "minted"; readonly value: string; readonly tookMs: number }
  | { readonly kind: "failed"; readonly failure: CannotTell; readonly tookMs: number };

export type KeyAnswer =
  | { readonly kind: "key"; readonly key: ApiKey; readonly tookMs: number }
  | { readonly kind: "failed"; readonly failure: CannotTell; readonly tookMs: number };

const RENEW_AT_MOST_EVERY_MS = 60_000;

interface Entry {
  key: ApiKey | null;
  minting: Promise<KeyAnswer> | null;
}

export class KeyCache {
  readonly #mint: (owner: KeyOwner) => Promise<Minted>;
  readonly #clock: Pick<Clock, "monotonicMs">;
  readonly #entries = new Map<string, Entry>();

  /** `mint` never rejects because of the remote side and settles within a bound of its own. */
  constructor(mint: (owner: KeyOwner) => Promise<Minted>, clock: Pick<Clock, "monotonicMs">) {
    this.#mint = mint;
    this.#clock = clock;
  }

  async get(owner: KeyOwner): Promise<KeyAnswer> {
    const entry = this.#entryOf(owner);
    if (entry.minting !== null) return await entry.minting;
    return entry.key === null ? await this.#start(owner, entry, 0) : known(entry.key);
  }

  /**
   * The key to use instead of `refused`. Answers with `refused` itself when minting again was of no use a moment ago.
   * A failed minting leaves the old key in place: it may be the auth layer that is ill.
   */
  async renew(owner: KeyOwner, refused: ApiKey): Promise<KeyAnswer> {
    const entry = this.#entryOf(owner);
    if (entry.minting !== null) return await entry.minting;
    if (entry.key !== null && entry.key !== refused) return known(entry.key);
    if (this.#clock.monotonicMs() < refused.renewableFromMs) return known(refused);
    return await this.#start(owner, entry, RENEW_AT_MOST_EVERY_MS);
  }

  #entryOf({ userId, orgId }: KeyOwner): Entry {
    const name = JSON.stringify([userId, orgId]);
    const entry = this.#entries.get(name) ?? { key: null, minting: null };
    this.#entries.set(name, entry);
    return entry;
  }

  #start(owner: KeyOwner, entry: Entry, keepForMs: number): Promise<KeyAnswer> {
    entry.minting = this.#mintInto(entry, owner, keepForMs);
    return entry.minting;
  }

  async #mintInto(entry: Entry, owner: KeyOwner, keepForMs: number): Promise<KeyAnswer> {
    try {
      const minted = await this.#mint(owner);
      if (minted.kind === "failed") return minted;
      const renewableFromMs = this.#clock.monotonicMs() + keepForMs;
      entry.key = { value: minted.value, renewableFromMs };
      return { kind: "key", key: entry.key, tookMs: minted.tookMs };
    } finally {
      entry.minting = null;
    }
  }
}

function known(key: ApiKey): KeyAnswer {
  return { kind: "key", key, tookMs: 0 };
}
