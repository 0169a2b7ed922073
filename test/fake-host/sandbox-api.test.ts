import { describe, expect, it } from "vitest";
import { type FakeHost, startFakeHost } from "./fake-host.ts";
import type { Sandbox } from "./model.ts";
import { NEWER_LIMIT, OLDER_LIMIT } from "./sandbox-api.ts";

describe("the pause of a sandbox", () => {
  it("leaves it there without its server, for its user only", async () => {
    await using host = await startFakeHost();
    const [sandbox, other] = [host.addSandbox({ id: "with/slash" }), host.addSandbox()];
    const key = await keyOf(host, sandbox);
    expect(await pause(host, "nobody", sandbox.id)).toMatchObject({ status: 401 });
    expect(await pause(host, await keyOf(host, other), sandbox.id)).toMatchObject({ status: 404 });
    expect(await pause(host, key, "unknown")).toMatchObject({ status: 404 });
    expect(host.sandbox(sandbox.id)).toBe(sandbox);

    expect(await pause(host, key, sandbox.id)).toEqual({ status: 200, body: { success: true } });
    const url = `${host.url}/api/v1/sandboxes?id=${encodeURIComponent(sandbox.id)}`;
    const found = await ask(url, { headers: { Authorization: `Bearer ${key}` } });
    expect(found.body).toMatchObject([
      { id: sandbox.id, status: "PAUSED", session_api_key: null, exposed_urls: null },
    ]);
    const seen = host.requests.filter(({ kind }) => kind === "pause");
    expect(seen.map(({ sandboxId }) => sandboxId)).toEqual([
      sandbox.id,
      sandbox.id,
      "unknown",
      sandbox.id,
    ]);
  });
});

describe("a look-up of several sandboxes", () => {
  for (const { name, limit, answered, refused, status } of [
    { name: "a newer server", limit: NEWER_LIMIT, answered: 100, refused: 101, status: 400 },
    { name: "an older server", limit: OLDER_LIMIT, answered: 99, refused: 100, status: 500 },
  ]) {
    it(`is answered by ${name} for ${answered} ids, and with HTTP ${status} for ${refused}`, async () => {
      await using host = await startFakeHost({ lookupLimit: limit });
      const sandbox = host.addSandbox();
      const key = await keyOf(host, sandbox);
      const ids = Array.from({ length: refused }, (_, index) => `unknown-${index}`);
      const { body } = await lookup(host, key, [sandbox.id, ...ids.slice(2)]);
      expect(body).toEqual([
        expect.objectContaining({ id: sandbox.id }),
        ...ids.slice(2).map(() => null),
      ]);
      expect(await lookup(host, key, ids)).toMatchObject({ status });
    });
  }

  it("tells of a sandbox as often as it is named", async () => {
    await using host = await startFakeHost();
    const sandbox = host.addSandbox();
    const key = await keyOf(host, sandbox);
    const { body } = await lookup(host, key, [sandbox.id, "unknown", sandbox.id]);
    const record = expect.objectContaining({ id: sandbox.id });
    expect(body).toEqual([record, null, record]);
  });

  it("fails as a whole when one of them is broken, unless that is another user's", async () => {
    await using host = await startFakeHost();
    const sandbox = host.addSandbox();
    const { userId, orgId } = sandbox;
    const broken = host.addSandbox({ userId, orgId, broken: true });
    const key = await keyOf(host, sandbox);
    expect(await lookup(host, key, [sandbox.id, broken.id])).toMatchObject({ status: 500 });
    expect(await lookup(host, key, [broken.id])).toMatchObject({ status: 500 });
    expect(await lookup(host, key, [sandbox.id])).toMatchObject({ status: 200 });
    const theirs = host.addSandbox({ broken: true });
    expect((await lookup(host, key, [theirs.id])).body).toEqual([null]);
  });

  it("is refused with what limits one of them, and recorded with all of them", async () => {
    await using host = await startFakeHost();
    const sandbox = host.addSandbox();
    const { userId, orgId } = sandbox;
    const limited = host.addSandbox({ userId, orgId, rateLimit: { first: 1, retryAfterS: 7 } });
    const key = await keyOf(host, sandbox);
    const ids = [sandbox.id, limited.id];
    expect(await lookup(host, key, ids)).toMatchObject({ status: 429 });
    expect(await lookup(host, key, ids)).toMatchObject({ status: 200 });
    const { kind, sandboxId, sandboxIds } = host.requests.at(-1) ?? {};
    expect({ kind, sandboxId, sandboxIds }).toEqual({
      kind: "lookup",
      sandboxId: sandbox.id,
      sandboxIds: ids,
    });
  });
});

function lookup(host: FakeHost, key: string, ids: readonly string[]) {
  const query = new URLSearchParams(ids.map((id): [string, string] => ["id", id]));
  return ask(`${host.url}/api/v1/sandboxes?${query}`, {
    headers: { Authorization: `Bearer ${key}` },
  });
}

async function keyOf(host: FakeHost, { userId, orgId }: Sandbox): Promise<string> {
  const { body } = await ask(`${host.url}/api/service/users/${userId}/orgs/${orgId}/api-keys`, {
    method: "POST",
    headers: { "X-Service-API-Key": host.serviceKey },
    body: JSON.stringify({ name: "automation" }),
  });
  return String(Reflect.get(Object(body), "key"));
}

function pause(host: FakeHost, key: string, id: string) {
  return ask(`${host.url}/api/v1/sandboxes/${encodeURIComponent(id)}/pause`, {
    method: "POST",
    headers: { Authorization: `Bearer ${key}` },
  });
}

async function ask(url: string, init: RequestInit) {
  const response = await fetch(url, init);
  const body: unknown = await response.json();
  return { status: response.status, body };
}
