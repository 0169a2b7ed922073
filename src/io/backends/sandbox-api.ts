/** The OpenHands app server: mints keys, knows sandboxes, deletes them. It is shared by all tenants and draws 429s. */
import type { CleanupResult, Clock } from "../../watchdog/ports.ts";
import { Semaphore } from "../semaphore.ts";
import { type ApiParts, ApiSession, type Owner } from "./api-session.ts";
import type { CallBudget } from "./call-budget.ts";
import { type CallName, cleanupFailed, malformed } from "./failure.ts";
import { cannotTell, type HttpClient } from "./http-client.ts";
import { KeyCache } from "./key-cache.ts";
import { mintKey } from "./key-mint.ts";
import { readSandbox, SANDBOX_LOOKUP, type SandboxAnswer } from "./sandbox-answer.ts";
import { pathSegment, urlBelow } from "./url.ts";

export interface SandboxApiOptions {
  readonly http: HttpClient;
  readonly clock: Pick<Clock, "monotonicMs">;
  readonly baseUrl: URL;
  readonly serviceKey: string;
  /** Calls at once, over all runs and clean-ups. */
  readonly apiConcurrency: number;
  readonly mintTimeoutMs: number;
}

const SANDBOX_DELETE: CallName = { source: "sandbox_api", operation: "delete_sandbox" };

export class SandboxApi {
  readonly #baseUrl: URL;
  readonly #parts: ApiParts;

  constructor(options: SandboxApiOptions) {
    const { http, clock, baseUrl, serviceKey, mintTimeoutMs: timeoutMs } = options;
    const slots = new Semaphore(options.apiConcurrency);
    const mintOptions = { http, baseUrl, serviceKey, timeoutMs, slots };
    const keys = new KeyCache((owner) => mintKey(mintOptions, owner), clock);
    this.#baseUrl = baseUrl;
    this.#parts = { http, clock, slots, keys };
  }

  session(owner: Owner, budget: CallBudget, signal: AbortSignal): ApiSession {
    return new ApiSession(this.#parts, owner, budget, signal);
  }

  async lookup(session: ApiSession, sandboxId: string): Promise<SandboxAnswer> {
    const url = urlBelow(this.#baseUrl, "/api/v1/sandboxes", { id: sandboxId });
    const answer = await session.send({ ...SANDBOX_LOOKUP, method: "GET", url, expects: "json" });
    if (answer.kind === "json") return readSandbox(answer.body, sandboxId);
    return cannotTell(SANDBOX_LOOKUP, answer);
  }

  /** 404 is a failure, too: the app server also answers it when its own deletion broke off. */
  async delete(session: ApiSession, sandboxId: string): Promise<CleanupResult> {
    const segment = pathSegment(sandboxId);
    if (segment === null) {
      return cleanupFailed(malformed(SANDBOX_DELETE, "was not sent: the sandbox id is unusable"));
    }
    // Older app servers read the id from the query, newer ones from the path.
    const url = urlBelow(this.#baseUrl, `/api/v1/sandboxes/${segment}`, { sandbox_id: sandboxId });
    const call = { ...SANDBOX_DELETE, method: "DELETE", url, expects: "nothing" } as const;
    const answer = await session.send(call);
    if (answer.kind === "status" && answer.status < 300) return { kind: "deleted" };
    return cleanupFailed(cannotTell(SANDBOX_DELETE, answer));
  }
}
