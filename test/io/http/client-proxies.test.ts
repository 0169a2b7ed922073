import { isIP, type LookupFunction } from "node:net";
import { describe, expect, it } from "vitest";
import { type SeenRequest, sendJson, startHttpServer } from "../../services/http-server.ts";
import { FakeClock } from "../../support/memory/fake-clock.ts";
import { ask, message, settleTraffic } from "../openhands/asking.ts";
import { openClient } from "./world.ts";

describe("HttpClient.request with a proxy", () => {
  function proxyTo(url: string, noProxy: string | null = null) {
    return { proxy: { httpProxy: url, httpsProxy: null, noProxy } };
  }

  it("sends a request for another host to the proxy", async () => {
    await using proxy = await startHttpServer((_, response) => sendJson(response, 200, { p: 1 }));
    await using client = openClient(proxyTo(proxy.origin));
    const answer = await ask(client.http, "http://app.example", { path: "/x?y=1" });
    expect(answer).toMatchObject({ kind: "json", status: 200, body: { p: 1 } });
    expect(proxy.requests.map(({ target }: SeenRequest) => target)).toEqual([
      "http://app.example/x?y=1",
    ]);
  });

  it("asks a host directly that the exceptions name", async () => {
    await using proxy = await startHttpServer((_, response) => sendJson(response, 200, { p: 1 }));
    await using server = await startHttpServer((_, response) => sendJson(response, 200, { s: 1 }));
    await using client = openClient(proxyTo(proxy.origin, "example.com,127.0.0.1"));
    expect(await ask(client.http, server.origin)).toMatchObject({ body: { s: 1 } });
    expect(proxy.requests).toEqual([]);
  });

  it("asks an address directly that is in an excepted range", async () => {
    await using proxy = await startHttpServer((_, response) => sendJson(response, 200, { p: 1 }));
    await using server = await startHttpServer((_, response) => sendJson(response, 200, { s: 1 }));
    await using client = openClient(proxyTo(proxy.origin, "10.0.0.0/8,127.0.0.0/8"));
    expect(await ask(client.http, server.origin)).toMatchObject({ body: { s: 1 } });
    expect(await ask(client.http, "http://10.example")).toMatchObject({ body: { p: 1 } });
  });

  it("uses the proxy for http for https as well when that has none of its own", async () => {
    await using proxy = await startHttpServer(() => {});
    const tunnels: (string | undefined)[] = [];
    proxy.server.on("connect", (request, socket) => {
      tunnels.push(request.url);
      socket.end("HTTP/1.1 403 Forbidden\r\n\r\n");
    });
    await using client = openClient(proxyTo(proxy.origin));
    await ask(client.http, "https://app.example");
    expect(tunnels).toEqual(["app.example:443"]);
  });

  it("opens a tunnel for https, and reports a proxy that refuses it", async () => {
    await using proxy = await startHttpServer(() => {});
    const tunnels: (string | undefined)[] = [];
    await using client = openClient({
      proxy: { httpProxy: null, httpsProxy: proxy.origin, noProxy: null },
    });
    proxy.server.on("connect", (request, socket) => {
      tunnels.push(request.url);
      socket.end("HTTP/1.1 403 Forbidden\r\n\r\n");
    });
    const answer = await ask(client.http, "https://app.example");
    expect(answer).toMatchObject({ kind: "unreachable", failure: { kind: "transport" } });
    expect(tunnels).toEqual(["app.example:443"]);
  });

  it("does not look at the environment's proxies by itself", async () => {
    const before = process.env["HTTP_PROXY"];
    process.env["HTTP_PROXY"] = "http://127.0.0.1:9";
    try {
      await using server = await startHttpServer((_, response) => sendJson(response, 200, {}));
      await using client = openClient({
        proxy: { httpProxy: null, httpsProxy: null, noProxy: null },
      });
      expect((await ask(client.http, server.origin)).kind).toBe("json");
    } finally {
      if (before === undefined) delete process.env["HTTP_PROXY"];
      else process.env["HTTP_PROXY"] = before;
    }
  });
});

describe("HttpClient.request to a guarded address by way of a proxy", () => {
  const guarded = { call: { guarded: true } } as const;

  /** What came of a call to a name that is looked up like this, and what the proxy heard of it. */
  async function askFor(url: string, lookup: LookupFunction) {
    await using proxy = await startHttpServer((_, response) => sendJson(response, 200, { p: 1 }));
    const heard: (string | undefined)[] = [];
    proxy.server.on("connect", (request, socket) => {
      heard.push(request.url);
      socket.destroy();
    });
    const settings = { httpProxy: proxy.origin, httpsProxy: null, noProxy: null };
    await using client = openClient({ proxy: settings, lookup });
    const answer = await ask(client.http, url, guarded);
    heard.push(...proxy.requests.map(({ target }) => target));
    return { answer, heard };
  }

  function leadingTo(...addresses: readonly string[]): LookupFunction {
    return (_, options, callback) => {
      const found = addresses.map((address) => ({ address, family: isIP(address) }));
      if (options.all === true) callback(null, found);
      else callback(null, addresses[0] ?? "", isIP(addresses[0] ?? ""));
    };
  }

  for (const url of ["http://agent.example/", "https://agent.example/"]) {
    for (const address of ["127.0.0.1", "169.254.169.254", "64:ff9b:1::7f00:1"]) {
      it(`sends nothing to ${url} when its name leads to ${address}`, async () => {
        const { answer, heard } = await askFor(url, leadingTo("10.0.0.5", address));
        expect(message(answer)).toBe(
          "malformed: agent_server bash_events_search was not sent: the address is not allowed",
        );
        expect(heard).toEqual([]);
      });
    }

    it(`sends nothing to ${url} when its name cannot be looked up`, async () => {
      const { answer, heard } = await askFor(url, (_, __, callback) =>
        callback(Object.assign(new Error("no such name"), { code: "ENOTFOUND" }), []),
      );
      expect(message(answer)).toBe(
        "unreachable: agent_server bash_events_search transport error: ENOTFOUND",
      );
      expect(heard).toEqual([]);
    });

    it(`hands ${url} to the proxy when its name leads to private addresses only`, async () => {
      const { heard } = await askFor(url, leadingTo("10.0.0.5", "fd12::5"));
      expect(heard).toHaveLength(1);
    });
  }

  it("hands an address that is allowed to the proxy without looking it up", async () => {
    const { answer, heard } = await askFor("http://[fd12::5]:81/", () => {
      throw new Error("there is nothing to look up");
    });
    expect(answer).toMatchObject({ body: { p: 1 } });
    expect(heard).toEqual(["http://[fd12::5]:81/"]);
  });

  it("gives up a look-up that takes too long, and sends nothing when it ends after all", async () => {
    const clock = new FakeClock();
    await using proxy = await startHttpServer((_, response) => sendJson(response, 200, {}));
    let end = () => {};
    const lookup: LookupFunction = (_, __, callback) => {
      end = () => callback(null, [{ address: "10.0.0.5", family: 4 }]);
      void clock.advance(30_000);
    };
    const settings = { httpProxy: proxy.origin, httpsProxy: null, noProxy: null };
    await using client = openClient({ proxy: settings, lookup, clock });
    const answer = await ask(client.http, "http://agent.example", guarded);
    expect(answer).toMatchObject({ failure: { kind: "timeout" } });
    end();
    await settleTraffic();
    expect(proxy.requests).toEqual([]);
  });
});
