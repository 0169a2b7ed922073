import { z } from "zod";
import type { Semaphore } from "../semaphore.ts";
import { CallBudget } from "./call-budget.ts";
import { type CallName, malformed } from "./failure.ts";
import { type Answer, cannotTell, type HttpClient, isHeaderToken } from "./http-client.ts";
import type { KeyOwner, Minted } from "./key-cache.ts";
import { percentEncode, urlBelow } from "./url.ts";

export interface KeyMintOptions {
  readonly http: HttpClient;
  readonly baseUrl: URL;
  readonly serviceKey: string;
  /** Counted from when the call has its slot. */
  readonly timeoutMs: number;
  readonly slots: Semaphore;
}

export const KEY_MINT: CallName = { source: "service_api", operation: "mint_api_key" };

const keyShape = z.object({ key: z.string().refine(isHeaderToken) });

/**
 * Gets or creates the key that the host's own service uses for this user. Other runs may wait for the same key, so no
 * single run's signal ends this; its deadline does.
 */
export async function mintKey(options: KeyMintOptions, owner: KeyOwner): Promise<Minted> {
  const { http, baseUrl, serviceKey, timeoutMs, slots } = options;
  const call = {
    ...KEY_MINT,
    method: "POST",
    url: urlBelow(baseUrl, keysPath(owner), {}),
    headers: { "x-service-api-key": serviceKey },
    body: { name: "automation" },
    expects: "json",
    guarded: false,
  } as const;
  const budget = new CallBudget(timeoutMs);
  const never = new AbortController().signal;
  const answer = await slots.run(() => http.request(call, budget, never), never);
  return readKey(answer, timeoutMs - budget.leftMs);
}

function keysPath({ userId, orgId }: KeyOwner): string {
  return `/api/service/users/${percentEncode(userId)}/orgs/${percentEncode(orgId)}/api-keys`;
}

function readKey(answer: Answer, tookMs: number): Minted {
  if (answer.kind !== "json") {
    // A refused or garbled minting says nothing about any run: it is the service that cannot be reached.
    const { failure } = cannotTell(KEY_MINT, answer);
    return { kind: "failed", failure: { kind: "unreachable", failure }, tookMs };
  }
  const minted = keyShape.safeParse(answer.body);
  if (minted.success) return { kind: "minted", value: minted.data.key, tookMs };
  const { failure } = malformed(KEY_MINT, "answered without a usable key");
  return { kind: "failed", failure: { kind: "unreachable", failure }, tookMs };
}
