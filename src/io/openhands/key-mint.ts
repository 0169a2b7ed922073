import { z } from "zod";
import type { GatedCall } from "../api-gate/call-outcome.ts";
import type { ApiGate } from "../api-gate/gate.ts";
import { CallBudget } from "../http/call-budget.ts";
import { type Answer, cannotTell, isHeaderToken, isUnauthorized } from "../http/client.ts";
import { type CallName, malformed } from "../http/failure.ts";
import { type Secret, withSecret } from "../http/secret.ts";
import { percentEncode, urlBelow } from "../http/url.ts";
import type { KeyOwner, Minted } from "./key-cache.ts";

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
    url: urlBelow(baseUrl, keysPath(owner), {}),
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
