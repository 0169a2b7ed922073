import { describe, expect, it } from "vitest";
import { type FakeHost, startFakeHost } from "./fake-host.ts";
import { type BashOutput, html, type Sandbox } from "./model.ts";
import { startHostProcess } from "./process-client.ts";

const COMMAND = "0123456789abcdef0123456789abcdef";

describe("the sandbox API", () => {
  it("mints one key per user, organisation and name, again and again", async () => {
    await using host = await startFakeHost();
    const first = await mint(host, "u1", "o1");
    expect(first.body).toEqual({
      key: expect.stringMatching(/^sk-oh-/),
      user_id: "u1",
      org_id: "o1",
      name: "automation",
    });
    expect((await mint(host, "u1", "o1")).body).toEqual(first.body);
    expect((await mint(host, "u1", "o2")).body).not.toEqual(first.body);
    expect((await mint(host, "u1", "o1", "wrong")).status).toBe(401);
  });

  it("shows a sandbox to its user, null for what is not theirs, in the order of the question", async () => {
    await using host = await startFakeHost();
    const mine = host.addSandbox();
    const other = host.addSandbox();
    const key = await keyOf(host, mine);
    const { body } = await lookup(host, key, [other.id, mine.id, "unknown"]);
    expect(body).toEqual([
      null,
      expect.objectContaining({
        id: mine.id,
        status: "RUNNING",
        session_api_key: mine.sessionKey,
        created_by_user_id: mine.userId,
      }),
      null,
    ]);
    expect(agentUrlIn(body[1])).toBe(host.agentUrl(mine.id));
  });

  it("shows neither key nor urls of a sandbox that does not run", async () => {
    await using host = await startFakeHost();
    const { id } = host.addSandbox({ status: "PAUSED" });
    expect(await infoOf(host, id)).toMatchObject({ session_api_key: null, exposed_urls: null });
  });

  it("shows a running sandbox without an agent server, and one at another address", async () => {
    await using host = await startFakeHost();
    const { id } = host.addSandbox({ agentUrl: null });
    expect(agentUrlIn(await infoOf(host, id))).toBeUndefined();
    host.update(id, { agentUrl: "http://elsewhere.test/x" });
    expect(agentUrlIn(await infoOf(host, id))).toBe("http://elsewhere.test/x");
  });

  it("refuses a lookup without a key, with a revoked one, and without ids", async () => {
    await using host = await startFakeHost();
    const sandbox = host.addSandbox();
    const key = await keyOf(host, sandbox);
    expect((await lookup(host, "nobody", [sandbox.id])).status).toBe(401);
    expect((await lookup(host, key, [])).status).toBe(422);
    host.revokeKeys(sandbox.userId);
    expect((await lookup(host, key, [sandbox.id])).status).toBe(401);
    expect((await lookup(host, await keyOf(host, sandbox), [sandbox.id])).status).toBe(200);
  });

  it("deletes a sandbox that is named in the path and in the query, once", async () => {
    await using host = await startFakeHost();
    const sandbox = host.addSandbox({ id: "with/slash" });
    const key = await keyOf(host, sandbox);
    expect((await remove(host, key, sandbox.id, "")).status).toBe(422);
    expect(host.sandbox(sandbox.id)).toBe(sandbox);
    const query = `?sandbox_id=${encodeURIComponent(sandbox.id)}`;
    expect((await remove(host, key, sandbox.id, query)).body).toEqual({ success: true });
    expect(host.sandbox(sandbox.id)).toBeUndefined();
    expect((await remove(host, key, sandbox.id, query)).status).toBe(404);
  });
});

describe("the agent server", () => {
  it("finds the newest output of one command", async () => {
    await using host = await startFakeHost();
    const sandbox = host.addSandbox({
      outputs: [
        { commandId: COMMAND, exitCode: null, order: 0, stdout: "a" },
        { commandId: COMMAND, exitCode: 3, order: 1, stdout: "b", stderr: "c" },
        { commandId: "f".repeat(32), exitCode: 0 },
      ],
    });
    const { body } = await search(host, sandbox, {
      kind__eq: "BashOutput",
      command_id__eq: dashed(COMMAND),
      sort_order: "TIMESTAMP_DESC",
      limit: "1",
    });
    expect(body.items).toEqual([
      {
        kind: "BashOutput",
        id: expect.stringMatching(/^[0-9a-f]{32}$/),
        timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:]{8}\.\d{6}Z$/),
        command_id: COMMAND,
        order: 1,
        exit_code: 3,
        stdout: "b",
        stderr: "c",
      },
    ]);
    expect(body.next_page_id).toMatch(new RegExp(`^\\d{20}_BashOutput_${COMMAND}_[0-9a-f]{32}$`));
  });

  it("pages through the events, starting over for a page it does not know", async () => {
    await using host = await startFakeHost();
    const sandbox = host.addSandbox({ outputs: outputs(3) });
    const first = await search(host, sandbox, { limit: "2" });
    const second = await search(host, sandbox, {
      limit: "2",
      page_id: first.body.next_page_id ?? "",
    });
    expect(kinds(first)).toEqual(["BashCommand", "BashOutput"]);
    expect(kinds(second)).toEqual(["BashOutput", "BashOutput"]);
    expect(second.body.next_page_id).toBeNull();
    const unknown = await search(host, sandbox, { limit: "2", page_id: "gone" });
    expect(unknown.body).toEqual(first.body);
  });

  it("applies order__gt after a page was cut", async () => {
    await using host = await startFakeHost();
    const sandbox = host.addSandbox({ outputs: outputs(3) });
    const { body } = await search(host, sandbox, {
      kind__eq: "BashOutput",
      limit: "2",
      order__gt: "0",
    });
    expect(body.items.map(({ order }) => order)).toEqual([1]);
    expect(body.next_page_id).not.toBeNull();
  });

  it("selects by time, from one moment up to another", async () => {
    await using host = await startFakeHost();
    const times = ["2026-08-22T10:00:00Z", "2026-08-22T10:00:00.5Z", "2026-08-22T10:00:01.000001Z"];
    const sandbox = host.addSandbox({
      commands: [{ id: COMMAND, timestamp: "2026-08-22T09:00:00Z" }],
      outputs: times.map((timestamp) => ({ commandId: COMMAND, exitCode: null, timestamp })),
    });
    const { body } = await search(host, sandbox, {
      timestamp__gte: "2026-08-22T10:00:00.500000",
      timestamp__lt: "2026-08-22T10:00:01.000001Z",
    });
    expect(body.items.map(({ timestamp }) => timestamp)).toEqual([times[1]]);
  });

  const refusals = [
    { name: "an unknown kind", query: { kind__eq: "BashError" }, status: 422 },
    { name: "a command id that is no uuid", query: { command_id__eq: "nonsense" }, status: 422 },
    { name: "an unknown order", query: { sort_order: "NEWEST" }, status: 422 },
    { name: "a limit that is no number", query: { limit: "many" }, status: 422 },
    { name: "a time that is none", query: { timestamp__gte: "yesterday" }, status: 422 },
    { name: "a limit of 101", query: { limit: "101" }, status: 500 },
    { name: "a limit of 0", query: { limit: "0" }, status: 500 },
    { name: "a limit of 100", query: { limit: "100" }, status: 200 },
  ];
  for (const { name, query, status } of refusals) {
    it(`answers ${status} for ${name}`, async () => {
      await using host = await startFakeHost();
      expect((await search(host, host.addSandbox(), query)).status).toBe(status);
    });
  }

  it("asks for the session key, except where it has none and where health is asked for", async () => {
    await using host = await startFakeHost();
    const sandbox = host.addSandbox();
    expect((await search(host, { ...sandbox, sessionKey: "wrong" }, {})).status).toBe(401);
    expect((await get(`${host.agentUrl(sandbox.id)}/alive`)).body).toEqual({ status: "ok" });
    expect((await get(`${host.agentUrl(sandbox.id)}/server_info`)).body).toMatchObject({
      uptime: 3600,
    });
    host.update(sandbox.id, { agentKey: "rotated" });
    expect((await search(host, sandbox, {})).status).toBe(401);
    host.update(sandbox.id, { agentKey: null });
    expect((await search(host, { ...sandbox, sessionKey: "any" }, {})).status).toBe(200);
  });

  it("knows the commands it was given and those its outputs name, by hex id only", async () => {
    await using host = await startFakeHost();
    const sandbox = host.addSandbox({
      commands: [{ id: COMMAND, timeout: 42 }],
      outputs: [{ commandId: "a".repeat(32), exitCode: 0 }],
    });
    const event = (id: string) => get(`${events(host, sandbox)}/${id}`, agentHeaders(sandbox));
    expect((await event(COMMAND)).body).toMatchObject({ kind: "BashCommand", timeout: 42 });
    expect((await event("a".repeat(32))).status).toBe(200);
    expect((await event(dashed(COMMAND))).status).toBe(404);
    expect((await event("b".repeat(32))).body).toEqual({ detail: "Not Found" });
  });

  it("answers as an ingress does when the sandbox sleeps, starts up or is gone", async () => {
    await using host = await startFakeHost();
    const sandbox = host.addSandbox({ initializing: true });
    expect((await search(host, sandbox, {})).status).toBe(503);
    host.update(sandbox.id, { initializing: false, status: "PAUSED" });
    expect((await search(host, sandbox, {})).headers.get("content-type")).toBe("text/html");
    host.remove(sandbox.id);
    expect((await search(host, sandbox, {})).status).toBe(404);
  });
});

describe("FakeHost", () => {
  it("answers the first questions about a sandbox with 429 and Retry-After", async () => {
    await using host = await startFakeHost();
    const sandbox = host.addSandbox({ rateLimit: { first: 2, retryAfterS: 7 } });
    const key = await keyOf(host, sandbox);
    const answers = [];
    for (let question = 0; question < 3; question += 1) {
      answers.push(await lookup(host, key, [sandbox.id]));
    }
    expect(answers.map(({ status }) => status)).toEqual([429, 429, 200]);
    expect(answers[0]?.headers.get("retry-after")).toBe("7");
    expect((await search(host, sandbox, {})).status).toBe(200);
  });

  it("lets an interceptor replace, break and delay answers until it is removed", async () => {
    await using host = await startFakeHost();
    const { id } = host.addSandbox();
    const url = `${host.agentUrl(id)}/alive`;
    const replaced = host.intercept(() => html(502, "Bad Gateway"));
    expect((await fetch(url)).status).toBe(502);
    replaced();
    const reset = host.intercept(async ({ kind }) => (kind === "probe" ? "reset" : undefined));
    await expect(fetch(url)).rejects.toThrow();
    reset();
    const truncated = host.intercept(() => ({ status: 200, body: breakingOff() }));
    const answer = await fetch(url);
    await expect(answer.text()).rejects.toThrow();
    truncated();
    expect((await fetch(url)).status).toBe(200);
  });

  it("never answers into silence, and closes all the same", async () => {
    const host = await startFakeHost();
    host.intercept(() => "silence");
    const question = fetch(host.url).catch((error: unknown) => error);
    await host.traffic.until("other", 1);
    await host.close();
    await host.close();
    expect(await question).toBeInstanceOf(Error);
  });

  it("holds a barrier until all have arrived, and counts how many were there at once", async () => {
    await using host = await startFakeHost();
    const { id } = host.addSandbox();
    const url = `${host.agentUrl(id)}/alive`;
    const barrier = host.barrier(3, "probe");
    const early = [fetch(url), fetch(url)];
    await host.traffic.until("probe", 2);
    expect(host.traffic.of("probe")).toEqual({ seen: 2, inFlight: 2, peak: 2 });
    await Promise.all([...early, fetch(url), barrier.full]);
    expect(host.traffic.of("probe")).toMatchObject({ seen: 3, peak: 3 });
    expect((await fetch(url)).status).toBe(200);
  });

  it("records what it was asked, with the kind and the sandbox", async () => {
    await using host = await startFakeHost();
    const sandbox = host.addSandbox();
    await infoOf(host, sandbox.id);
    await search(host, sandbox, { limit: "1" });
    expect(host.requests.map(({ kind, sandboxId }) => [kind, sandboxId])).toEqual([
      ["mint", null],
      ["lookup", sandbox.id],
      ["events", sandbox.id],
    ]);
    expect(host.requests[0]).toMatchObject({ method: "POST", body: '{"name":"automation"}' });
    expect(host.requests[2]?.query.get("limit")).toBe("1");
    expect(host.traffic.of("api").seen).toBe(2);
    host.traffic.reset();
    expect(host.requests).toEqual([]);
  });

  for (const { keepRequests, kept } of [
    { keepRequests: 2, kept: ["/4", "/5"] },
    { keepRequests: 0, kept: [] },
  ]) {
    it(`keeps the newest ${keepRequests} requests and counts them all`, async () => {
      await using host = await startFakeHost({ keepRequests });
      for (const path of ["/1", "/2", "/3", "/4", "/5"]) await get(host.url + path);
      expect(host.requests.map(({ path }) => path)).toEqual(kept);
      expect(host.traffic.of("all").seen).toBe(5);
    });
  }
});

describe("the fake host's process", () => {
  it("takes sandboxes and gives counts, a line each, until its input ends", async () => {
    await using host = await startHostProcess();
    await host.send({ add: [{ id: "s1", sessionKey: "k" }] });
    const { status } = await fetch(`${host.url}/agent/s1/api/bash/bash_events/search`, {
      headers: { "X-Session-API-Key": "k" },
    });
    expect(status).toBe(200);
    expect(await host.send({ traffic: true })).toMatchObject({ events: { seen: 1 } });
  });
});

// biome-ignore lint/suspicious/noExplicitAny: answers are whatever the fake says; the tests look closer
type Answer<T = any> = { readonly status: number; readonly headers: Headers; readonly body: T };

async function get<T>(url: string, init: RequestInit = {}): Promise<Answer<T>> {
  const response = await fetch(url, init);
  const text = await response.text();
  const isJson = response.headers.get("content-type") === "application/json";
  return {
    status: response.status,
    headers: response.headers,
    body: isJson ? JSON.parse(text) : text,
  };
}

function mint(host: FakeHost, user: string, org: string, serviceKey = host.serviceKey) {
  return get<{ readonly key: string }>(
    `${host.url}/api/service/users/${user}/orgs/${org}/api-keys`,
    {
      method: "POST",
      headers: { "X-Service-API-Key": serviceKey, "Content-Type": "application/json" },
      body: JSON.stringify({ name: "automation" }),
    },
  );
}

async function keyOf(host: FakeHost, sandbox: Sandbox): Promise<string> {
  return (await mint(host, sandbox.userId, sandbox.orgId)).body.key;
}

function lookup(host: FakeHost, key: string, ids: readonly string[]) {
  const query = new URLSearchParams(ids.map((id): [string, string] => ["id", id]));
  return get<readonly unknown[]>(`${host.url}/api/v1/sandboxes?${query}`, bearer(key));
}

async function infoOf(host: FakeHost, id: string): Promise<unknown> {
  const sandbox = host.sandbox(id);
  if (sandbox === undefined) throw new Error(`there is no sandbox ${id}`);
  return (await lookup(host, await keyOf(host, sandbox), [id])).body[0];
}

function agentUrlIn(info: unknown): string | undefined {
  const urls: readonly { readonly name: string; readonly url: string }[] =
    Reflect.get(Object(info), "exposed_urls") ?? [];
  return urls.find(({ name }) => name === "AGENT_SERVER")?.url;
}

function remove(host: FakeHost, key: string, id: string, query: string) {
  const url = `${host.url}/api/v1/sandboxes/${encodeURIComponent(id)}${query}`;
  return get(url, { method: "DELETE", ...bearer(key) });
}

function bearer(key: string): RequestInit {
  return { headers: { Authorization: `Bearer ${key}` } };
}

interface Page {
  readonly items: readonly {
    readonly kind: string;
    readonly order: number;
    readonly timestamp: string;
  }[];
  readonly next_page_id: string | null;
}

function search(host: FakeHost, sandbox: Sandbox, query: Record<string, string>) {
  const url = `${events(host, sandbox)}/search?${new URLSearchParams(query)}`;
  return get<Page>(url, agentHeaders(sandbox));
}

function events(host: FakeHost, sandbox: Sandbox): string {
  return `${host.agentUrl(sandbox.id)}/api/bash/bash_events`;
}

function agentHeaders(sandbox: Sandbox): RequestInit {
  return { headers: { "X-Session-API-Key": sandbox.sessionKey ?? "" } };
}

function kinds(answer: Answer<Page>): readonly string[] {
  return answer.body.items.map(({ kind }) => kind);
}

function outputs(count: number): readonly BashOutput[] {
  return Array.from({ length: count }, (_, order) => ({
    commandId: COMMAND,
    exitCode: order === count - 1 ? 0 : null,
    order,
  }));
}

function dashed(hex: string): string {
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

async function* breakingOff(): AsyncGenerator<string> {
  yield '{"items":[';
  throw new Error("broken off");
}
