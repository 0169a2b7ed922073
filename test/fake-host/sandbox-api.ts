/** The app server's side of the fake host: API keys and sandboxes. */
import { randomBytes } from "node:crypto";
import {
  type HttpReply,
  html,
  json,
  type Sandbox,
  type SeenRequest,
  unprocessable,
} from "./model.ts";

const MINT = /^\/api\/service\/users\/([^/]+)\/orgs\/([^/]+)\/api-keys$/;

/** Newer servers refuse more than 100 ids with 400, older ones fail with 500 from 100 on. */
export interface LookupLimit {
  readonly maxIds: number;
  readonly status: number;
}

export const NEWER_LIMIT: LookupLimit = { maxIds: 100, status: 400 };
export const OLDER_LIMIT: LookupLimit = { maxIds: 99, status: 500 };

export class FakeSandboxApi {
  readonly serviceKey: string;
  readonly #sandboxes: Map<string, Sandbox>;
  readonly #agentBase: () => string;
  readonly #limit: LookupLimit;
  /** `user/org/name` to key, and back to the user. */
  readonly #keys = new Map<string, string>();
  readonly #users = new Map<string, string>();

  constructor(
    sandboxes: Map<string, Sandbox>,
    agentBase: () => string,
    limit: LookupLimit,
    serviceKey = `svc-${randomBytes(12).toString("hex")}`,
  ) {
    this.serviceKey = serviceKey;
    this.#sandboxes = sandboxes;
    this.#agentBase = agentBase;
    this.#limit = limit;
  }

  answer(request: SeenRequest): HttpReply {
    switch (request.kind) {
      case "mint":
        return this.#mint(request);
      case "lookup":
        return this.#lookup(request);
      case "delete":
        return this.#delete(request);
      case "pause":
        return this.#pause(request);
      default:
        return request.path === "/api/service/health"
          ? json(200, { status: "ok", service_auth_configured: true })
          : html(404, "Not Found");
    }
  }

  /** Makes every key of the user invalid; the next mint hands out new ones. */
  revokeKeys(userId: string): void {
    for (const [name, key] of this.#keys) {
      if (this.#users.get(key) !== userId) continue;
      this.#keys.delete(name);
      this.#users.delete(key);
    }
  }

  #mint(request: SeenRequest): HttpReply {
    if (request.headers["x-service-api-key"] !== this.serviceKey) {
      return json(401, { detail: "Invalid service API key" });
    }
    const [, user = "", org = ""] = MINT.exec(request.path) ?? [];
    const name = keyName(request.body);
    if (name === null) return unprocessable("body", "name");
    const owner = `${user}/${org}/${name}`;
    let key = this.#keys.get(owner);
    if (key === undefined) {
      key = `sk-oh-${randomBytes(16).toString("hex")}`;
      this.#keys.set(owner, key);
      this.#users.set(key, user);
    }
    return json(200, { key, user_id: user, org_id: org, name });
  }

  #lookup(request: SeenRequest): HttpReply {
    const user = this.#caller(request);
    if (user === null) return json(401, { detail: "Invalid API key" });
    const ids = request.sandboxIds;
    if (ids.length === 0) return unprocessable("query", "id");
    const { maxIds, status } = this.#limit;
    if (ids.length > maxIds) return json(status, { detail: `Too many ids: ${ids.length}` });
    const isBroken = (id: string) => this.#visible(id, user)?.broken === true;
    if (ids.some(isBroken)) return json(500, { detail: "Internal Server Error" });
    return json(
      200,
      ids.map((id) => this.#info(id, user)),
    );
  }

  /** Older servers want the id in the query, newer ones in the path: without both, one of them fails. */
  #delete(request: SeenRequest): HttpReply {
    const user = this.#caller(request);
    if (user === null) return json(401, { detail: "Invalid API key" });
    const id = request.sandboxId ?? "";
    if (request.query.get("sandbox_id") !== id) return unprocessable("query", "sandbox_id");
    if (this.#sandboxes.get(id)?.userId !== user) return json(404, { detail: "Sandbox not found" });
    this.#sandboxes.delete(id);
    return json(200, { success: true });
  }

  /** Its processes end; it comes back with another key. */
  #pause(request: SeenRequest): HttpReply {
    const user = this.#caller(request);
    if (user === null) return json(401, { detail: "Invalid API key" });
    const sandbox = this.#sandboxes.get(request.sandboxId ?? "");
    if (sandbox?.userId !== user) return json(404, { detail: "Sandbox not found" });
    this.#sandboxes.set(sandbox.id, { ...sandbox, status: "PAUSED" });
    return json(200, { success: true });
  }

  #caller(request: SeenRequest): string | null {
    const [, key = ""] = /^Bearer (.+)$/.exec(request.headers.authorization ?? "") ?? [];
    return this.#users.get(key) ?? null;
  }

  /** Other users' sandboxes do not exist. */
  #visible(id: string, user: string): Sandbox | null {
    const sandbox = this.#sandboxes.get(id);
    return sandbox?.userId === user ? sandbox : null;
  }

  #info(id: string, user: string): object | null {
    const sandbox = this.#visible(id, user);
    if (sandbox === null) return null;
    const running = sandbox.status === "RUNNING";
    return {
      id,
      created_by_user_id: user,
      sandbox_spec_id: "openhands/agent-server:1.41.0-python",
      status: sandbox.status,
      session_api_key: running ? sandbox.sessionKey : null,
      exposed_urls: running ? this.#exposedUrls(sandbox) : null,
      created_at: "2026-08-22T10:00:00Z",
    };
  }

  #exposedUrls(sandbox: Sandbox): readonly object[] {
    const base = `${this.#agentBase()}/${encodeURIComponent(sandbox.id)}`;
    const other = { name: "VSCODE", url: `${base}/vscode`, port: 60_001 };
    if (sandbox.agentUrl === null) return [other];
    return [{ name: "AGENT_SERVER", url: sandbox.agentUrl ?? base, port: 60_000 }, other];
  }
}

function keyName(body: string): string | null {
  try {
    const value: unknown = JSON.parse(body);
    if (typeof value !== "object" || value === null || !("name" in value)) return null;
    return typeof value.name === "string" ? value.name : null;
  } catch {
    return null;
  }
}
