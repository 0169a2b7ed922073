/** The OpenHands app server: mints keys, knows sandboxes, deletes them. It is shared by all tenants and draws 429s. */
import type { CleanupResult, Clock, PauseResult } from "../../watchdog/ports.ts";
import { ApiGate } from "../api-gate/gate.ts";
import type { Owner } from "../api-gate/owner.ts";
import type { CallBudget } from "../http/call-budget.ts";
import { isCleanupAnswer, readCleanup } from "../http/cleanup-answer.ts";
import { cannotTell, type HttpAnswer, type HttpClient } from "../http/client.ts";
import { type CallName, cleanupFailed, malformed } from "../http/failure.ts";
import type { Secret } from "../http/secret.ts";
import { pathSegment, urlBelow } from "../http/url.ts";
import { type ApiParts, ApiSession } from "./api-session.ts";
import { KeyCache } from "./key-cache.ts";
import { mintKey } from "./key-mint.ts";
import { readSandbox, SANDBOX_LOOKUP, type SandboxAnswer } from "./sandbox-answer.ts";
import { SingleFlight } from "./single-flight.ts";

export interface SandboxApiOptions {
  readonly http: HttpClient;
  readonly clock: Pick<Clock, "monotonicMs" | "sleep">;
  readonly baseUrl: URL;
  readonly serviceKey: Secret<string>;
  /** Calls at once, over all runs and clean-ups. */
  readonly apiConcurrency: number;
  readonly mintTimeoutMs: number;
}

const SANDBOX_DELETE: CallName = { source: "sandbox_api", operation: "delete_sandbox" };
const SANDBOX_PAUSE: CallName = { source: "sandbox_api", operation: "pause_sandbox" };

const UNUSABLE_ID = "was not sent: the sandbox id is unusable";

export class SandboxApi {
  readonly gate: ApiGate;
  readonly #baseUrl: URL;
  readonly #parts: ApiParts;
  readonly #lookups = new SingleFlight<SandboxAnswer>();

  constructor(options: SandboxApiOptions) {
    const { http, clock, baseUrl, serviceKey, mintTimeoutMs: timeoutMs } = options;
    const concurrency = options.apiConcurrency;
    const gate = new ApiGate({ http, clock, concurrency, main: SANDBOX_LOOKUP });
    const mintOptions = { gate, baseUrl, serviceKey, timeoutMs };
    const keys = new KeyCache((owner, signal) => mintKey(mintOptions, owner, signal), clock);
    this.gate = gate;
    this.#baseUrl = baseUrl;
    this.#parts = { gate, clock, keys };
  }

  session(owner: Owner, budget: CallBudget): ApiSession {
    return new ApiSession(this.#parts, owner, budget);
  }

  /** Whoever asks the same while the answer is on its way shares it. */
  lookup(session: ApiSession, sandboxId: string, signal: AbortSignal): Promise<SandboxAnswer> {
    const { userId, orgId } = session.owner;
    const question = JSON.stringify([userId, orgId, sandboxId]);
    return this.#lookups.run(question, (own) => this.#ask(session, sandboxId, own), signal);
  }

  async #ask(session: ApiSession, sandboxId: string, signal: AbortSignal): Promise<SandboxAnswer> {
    const url = urlBelow(this.#baseUrl, "/api/v1/sandboxes", { id: sandboxId });
    const isUsable = (answer: HttpAnswer) =>
      answer.kind === "json" && readSandbox(answer.body, sandboxId).kind !== "malformed";
    const call = { ...SANDBOX_LOOKUP, method: "GET", url, expects: "json", isUsable } as const;
    const answer = await session.send(call, signal);
    if (answer.kind === "json") return readSandbox(answer.body, sandboxId);
    return cannotTell(SANDBOX_LOOKUP, answer);
  }

  async delete(
    session: ApiSession,
    sandboxId: string,
    signal: AbortSignal,
  ): Promise<CleanupResult> {
    const segment = pathSegment(sandboxId);
    if (segment === null) return cleanupFailed(malformed(SANDBOX_DELETE, UNUSABLE_ID));
    // Older app servers read the id from the query, newer ones from the path.
    const url = urlBelow(this.#baseUrl, `/api/v1/sandboxes/${segment}`, { sandbox_id: sandboxId });
    const expects = "nothing";
    const isUsable = isCleanupAnswer;
    const call = { ...SANDBOX_DELETE, method: "DELETE", url, expects, isUsable } as const;
    const answer = await session.send(call, signal);
    return readCleanup(SANDBOX_DELETE, answer);
  }

  async pause(session: ApiSession, sandboxId: string, signal: AbortSignal): Promise<PauseResult> {
    const segment = pathSegment(sandboxId);
    if (segment === null) return cleanupFailed(malformed(SANDBOX_PAUSE, UNUSABLE_ID));
    const url = urlBelow(this.#baseUrl, `/api/v1/sandboxes/${segment}/pause`, {});
    const expects = "nothing";
    const isUsable = isCleanupAnswer;
    const call = { ...SANDBOX_PAUSE, method: "POST", url, expects, isUsable } as const;
    const result = readCleanup(SANDBOX_PAUSE, await session.send(call, signal));
    return result.kind === "deleted" ? { kind: "paused" } : result;
  }
}
