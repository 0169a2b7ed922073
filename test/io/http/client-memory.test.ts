import type { Pool } from "undici";
import { beforeEach, describe, expect, it, vi } from "vitest";
import type { ProxySettings } from "../../../src/rules/network/no-proxy.ts";
import { sendJson, startHttpServer } from "../../services/http-server.ts";
import { ask } from "../openhands/asking.ts";
import { openClient, testNames } from "./world.ts";

/** Every pool that the client has opened. */
const opened = vi.hoisted(() => new Set<Pool>());

vi.mock(import("undici"), async (original) => {
  const real = await original();
  class CountedPool extends real.Pool {
    constructor(...settings: ConstructorParameters<typeof Pool>) {
      super(...settings);
      opened.add(this);
    }
  }
  return { ...real, Pool: CountedPool };
});

const ORIGINS = 350;
/** Of each of the ways out, and some more while a new dispatcher takes over. */
const MOST_HELD = 110;

beforeEach(() => opened.clear());

/** Those that undici keeps, with 24 KB for each. */
function held(): number {
  return [...opened].filter(({ closed, destroyed }) => !closed && !destroyed).length;
}

describe("HttpClient and the origins that it has met", () => {
  function originsAt(port: number, scheme = "http"): readonly string[] {
    return Array.from({ length: ORIGINS }, (_, each) => `${scheme}://sandbox-${each}.test:${port}`);
  }

  function proxyAt(httpProxy: string): { readonly proxy: ProxySettings } {
    return { proxy: { httpProxy, httpsProxy: null, noProxy: null } };
  }

  it("holds little of those that were reached by a proxy", async () => {
    await using proxy = await startHttpServer((_, response) => sendJson(response, 200, {}));
    await using client = openClient(proxyAt(proxy.origin));
    for (const origin of originsAt(80)) {
      expect(await ask(client.http, origin)).toMatchObject({ kind: "json" });
      expect(held()).toBeLessThanOrEqual(MOST_HELD);
    }
    expect(proxy.requests).toHaveLength(ORIGINS);
  });

  it("holds little of those to which a proxy's tunnel did not open in time", async () => {
    const reason = new Error("stopping");
    let controller = new AbortController();
    await using proxy = await startHttpServer(() => {});
    // A server does not close by itself what became a tunnel.
    using tunnels = new DisposableStack();
    proxy.server.on("connect", (_, socket) => {
      tunnels.adopt(socket, () => socket.destroy());
      controller.abort(reason);
    });
    await using client = openClient(proxyAt(proxy.origin));
    for (const origin of originsAt(443, "https")) {
      controller = new AbortController();
      const { signal } = controller;
      await expect(ask(client.http, origin, { signal })).rejects.toBe(reason);
      expect(held()).toBeLessThanOrEqual(MOST_HELD);
    }
  });

  it("holds little of those that did not answer", async () => {
    const reason = new Error("stopping");
    let controller = new AbortController();
    await using server = await startHttpServer(() => controller.abort(reason));
    await using client = openClient({ lookup: testNames });
    for (const origin of originsAt(server.port)) {
      controller = new AbortController();
      const { signal } = controller;
      await expect(ask(client.http, origin, { signal })).rejects.toBe(reason);
      expect(held()).toBeLessThanOrEqual(MOST_HELD);
    }
  });

  it("answers whoever asked before a new dispatcher took over", async () => {
    const gate = Promise.withResolvers<void>();
    await using server = await startHttpServer(async ({ target }, response) => {
      if (target === "/slow") await gate.promise;
      sendJson(response, 200, { target });
    });
    await using client = openClient({ lookup: testNames });
    const slow = ask(client.http, `http://slow.test:${server.port}`, { path: "/slow" });
    await server.arrived(1);
    for (const origin of originsAt(server.port)) await ask(client.http, origin);
    gate.resolve();
    expect(await slow).toMatchObject({ body: { target: "/slow" } });
  });
});
