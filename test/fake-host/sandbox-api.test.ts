import { describe, expect, it } from "vitest";
import { type FakeHost, startFakeHost } from "./fake-host.ts";
import type { Sandbox } from "./model.ts";

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
