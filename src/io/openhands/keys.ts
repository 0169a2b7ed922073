/**
 * One API key per user and organisation, minted when first needed and kept while it is used.
 *
 * Minting is shared: whoever needs the same key at the same time waits for the same call, and an aborted run does not
 * take the key away from the others. The service hands out the same key again and again, so minting anew seldom helps
 * against a 401: it happens once for all the runs that met the rejection, and then not again for a minute.
 */
import { z } from "zod";
import type { Clock } from "../../watchdog/ports.ts";
import { Circuit, ownerName } from "../api-gate/circuit.ts";
import type { ApiGate, GatedCall } from "../api-gate/gate.ts";
import {
  type Answer,
  type CannotTell,
  cannotTell,
  isUnauthorized,
  malformed,
  type NotAsked,
} from "../http/answer.ts";
import {
  CallBudget,
  type CallName,
  isHeaderToken,
  percentEncode,
  type Secret,
  urlBelow,
  withSecret,
} from "../http/call.ts";
import { SingleFlight } from "./single-flight.ts";

/** Two keys are the same when they are the same object: equal values can come from different mintings. */
export interface ApiKey {
  readonly value: string;
  /** Before this (monotonic) time it is not replaced. */
  readonly renewableFromMs: number;
  /** How long the API must not be called with it. */
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
   * A failed minting leaves the old key in place: the auth layer may be down.
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
    const name = ownerName(owner);
    const mint = async (own: AbortSignal): Promise<KeyAnswer> => {
      const minted = await this.#mint(owner, own);
      if (minted.kind === "failed") return minted;
      const { value, tookMs } = minted;
      const renewableFromMs = this.#clock.monotonicMs() + keepForMs;
      const key = { value, renewableFromMs, circuit: new Circuit(this.#clock) };
      this.#keys.set(name, key);
      return { kind: "key", key, tookMs };
    };
    return this.#mintings.run(name, mint, signal);
  }
}

function known(key: ApiKey): KeyAnswer {
  return { kind: "key", key, tookMs: 0 };
}

export interface KeyMintOptions {
  readonly gate: ApiGate;
  readonly baseUrl: URL;
  readonly serviceKey: Secret<string>;
  /** Counted from when the gate lets the call through. */
  readonly timeoutMs: number;
}

export const KEY_MINT: CallName = { source: "service_api", operation: "mint_api_key" };

const keyShape = z.object({ key: z.string().refine(isHeaderToken) });

/** Gets or creates the key that the host's own service uses for this user. */
export async function mintKey(
  options: KeyMintOptions,
  owner: KeyOwner,
  signal: AbortSignal,
): Promise<Minted> {
  const { gate, baseUrl, serviceKey, timeoutMs } = options;
  const call: Omit<GatedCall, "headers"> = {
    ...KEY_MINT,
    method: "POST",
    url: urlBelow(baseUrl, keysPath(owner)),
    body: { name: "automation" },
    expects: "json",
    guarded: false,
    isUsable: (answer) => keyIn(answer) !== null,
  };
  const budget = new CallBudget(timeoutMs);
  const send = (key: string) =>
    gate.request({ ...call, headers: { "x-service-api-key": key } }, budget, signal);
  const answer = await withSecret(serviceKey, send, isUnauthorized);
  if (isUnauthorized(answer)) gate.unauthorized(KEY_MINT, owner);
  return readKey(answer, timeoutMs - budget.leftMs);
}

function keysPath({ userId, orgId }: KeyOwner): string {
  return `/api/service/users/${percentEncode(userId)}/orgs/${percentEncode(orgId)}/api-keys`;
}

function readKey(answer: Answer, tookMs: number): Minted {
  if (answer.kind === "not-asked") return { kind: "failed", failure: answer, tookMs };
  const value = keyIn(answer);
  if (value !== null) return { kind: "minted", value, tookMs };
  // A rejected or garbled minting says nothing about any run: it is the service that cannot be reached.
  const { failure } =
    answer.kind === "json"
      ? malformed(KEY_MINT, "answered without a usable key")
      : cannotTell(KEY_MINT, answer);
  return { kind: "failed", failure: { kind: "unreachable", failure }, tookMs };
}

function keyIn(answer: Answer): string | null {
  if (answer.kind !== "json") return null;
  const minted = keyShape.safeParse(answer.body);
  return minted.success ? minted.data.key : null;
}

const KEPT_FOR_MS = 3_600_000;
const MOST_KEPT = 10_000;

/**
 * A map that forgets what was not used for an hour, or least recently of more than 10,000: a worker meets many more owners
 * in its life, and in a large sweep, than at any one time.
 */
export class RecentMap<V> {
  readonly #clock: Pick<Clock, "monotonicMs">;
  /** What was used last comes last. */
  readonly #entries = new Map<string, { readonly value: V; readonly usedAtMs: number }>();

  constructor(clock: Pick<Clock, "monotonicMs">) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#entries.size;
  }

  get(key: string): V | undefined {
    this.#forget();
    const entry = this.#entries.get(key);
    if (entry !== undefined) this.set(key, entry.value);
    return entry?.value;
  }

  set(key: string, value: V): void {
    this.#forget();
    this.#entries.delete(key);
    this.#entries.set(key, { value, usedAtMs: this.#clock.monotonicMs() });
    if (this.#entries.size <= MOST_KEPT) return;
    const [oldest] = this.#entries.keys();
    if (oldest !== undefined) this.#entries.delete(oldest);
  }

  #forget(): void {
    const oldestMs = this.#clock.monotonicMs() - KEPT_FOR_MS;
    for (const [key, { usedAtMs }] of this.#entries) {
      if (usedAtMs > oldestMs) return;
      this.#entries.delete(key);
    }
  }
}
