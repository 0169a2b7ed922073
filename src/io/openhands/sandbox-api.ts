/** The OpenHands app server: mints keys, knows sandboxes, deletes them. All tenants share it, and it answers 429. */
import { z } from "zod";
import type { Evidence } from "../../rules/model.ts";
import type { CleanupResult, CleanupTarget, Clock, PauseResult } from "../../watchdog/ports.ts";
import type { Owner } from "../api-gate/circuit.ts";
import { ApiGate, type ApiGateOptions, type GatedCall } from "../api-gate/gate.ts";
import {
  type Answer,
  cannotTell,
  cleanupFailed,
  type HttpAnswer,
  isCleanupAnswer,
  isUnauthorized,
  malformed,
  readCleanup,
} from "../http/answer.ts";
import { CallBudget, type CallName, pathSegment, type Secret, urlBelow } from "../http/call.ts";
import { type ApiKey, KEY_MINT, type KeyAnswer, KeyCache, type KeyOwner, mintKey } from "./keys.ts";
import { SingleFlight } from "./single-flight.ts";

/** `concurrency` counts calls to the app server, over all runs and clean-ups. */
export interface SandboxApiOptions extends Omit<ApiGateOptions, "main"> {
  readonly baseUrl: string;
  readonly serviceKey: Secret<string>;
  /** Time in calls that one verification, clean-up or key minting may take. */
  readonly verifyTimeoutMs: number;
}

const SANDBOX_LOOKUP: CallName = { source: "sandbox_api", operation: "get_sandbox" };
const DELETION = { source: "sandbox_api", operation: "delete_sandbox", method: "DELETE" } as const;
const PAUSE = { source: "sandbox_api", operation: "pause_sandbox", method: "POST" } as const;

/** `up`: running, with an agent server to ask. Otherwise the look-up itself is the evidence. */
export type SandboxAnswer =
  | { readonly kind: "up"; readonly agentUrl: string; readonly sessionKey: string | null }
  | Evidence;

export class SandboxApi {
  readonly gate: ApiGate;
  readonly #baseUrl: URL;
  readonly #timeoutMs: number;
  readonly #parts: ApiParts;
  readonly #lookups = new SingleFlight<SandboxAnswer>();

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
  }

  session(owner: Owner, budget: CallBudget): ApiSession {
    return new ApiSession(this.#parts, owner, budget);
  }

  /** Callers that ask the same at the same time share one call. */
  lookup(session: ApiSession, sandboxId: string, signal: AbortSignal): Promise<SandboxAnswer> {
    const { userId, orgId } = session.owner;
    const question = JSON.stringify([userId, orgId, sandboxId]);
    return this.#lookups.run(question, (own) => this.#ask(session, sandboxId, own), signal);
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
    const url = urlBelow(this.#baseUrl, "/api/v1/sandboxes", { id: sandboxId });
    const isUsable = (answer: HttpAnswer) =>
      answer.kind === "json" && readSandbox(answer.body, sandboxId).kind !== "malformed";
    const call = { ...SANDBOX_LOOKUP, method: "GET", url, expects: "json", isUsable } as const;
    const answer = await session.send(call, signal);
    if (answer.kind === "json") return readSandbox(answer.body, sandboxId);
    return cannotTell(SANDBOX_LOOKUP, answer);
  }

  async #change(
    name: Pick<ApiCall, "source" | "operation" | "method">,
    target: CleanupTarget,
    path: string,
    query: Readonly<Record<string, string>>,
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

const urlShape = z.object({ name: z.string().nullish(), url: z.string().nullish() });
const sandboxShape = z.object({
  id: z.string().nullish(),
  status: z.string(),
  session_api_key: z.string().nullish(),
  exposed_urls: z.array(urlShape.nullable()).nullish(),
});
/** The app server answers in the order of the ids asked for, with `null` for those it does not know. */
const answerShape = z.array(sandboxShape.nullable()).max(1).nullable();

function readSandbox(body: unknown, sandboxId: string): SandboxAnswer {
  const answer = answerShape.safeParse(body);
  if (!answer.success) return malformed(SANDBOX_LOOKUP, "answered with an unexpected shape");
  const sandbox = answer.data?.[0] ?? null;
  if (sandbox === null) return { kind: "gone", reason: "no-record" };
  const { id, status, session_api_key: sessionKey = null, exposed_urls: exposed } = sandbox;
  if (typeof id === "string" && id !== sandboxId) {
    return malformed(SANDBOX_LOOKUP, "answered about another sandbox");
  }
  if (status !== "RUNNING") return readOther(status);
  const agentUrl = exposed?.find((each) => each?.name === "AGENT_SERVER")?.url;
  return agentUrl
    ? { kind: "up", agentUrl, sessionKey }
    : { kind: "gone", reason: "no-agent-server" };
}

function readOther(status: string): Evidence {
  switch (status) {
    case "STARTING":
      return { kind: "starting" };
    case "MISSING":
      return { kind: "gone", reason: "missing" };
    case "PAUSED":
      return { kind: "gone", reason: "paused" };
    case "ERROR":
      return { kind: "gone", reason: "error" };
    default:
      return malformed(SANDBOX_LOOKUP, "answered with an unknown sandbox status");
  }
}
