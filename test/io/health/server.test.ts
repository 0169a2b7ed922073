import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { networkInterfaces } from "node:os";
import { describe, expect, it, vi } from "vitest";
import { type HealthServer, openHealthServer } from "../../../src/io/health/server.ts";

/** Longer than a busy machine needs for what takes four seconds, shorter than what Node does by itself. */
const CLOSED_WITHIN_MS = 20_000;

const ASKED = "GET /livez HTTP/1.1\r\nhost: x\r\n\r\n";

describe("the health server, among clients that", () => {
  it("say nothing, answers beside 300 of them and closes them", async () => {
    await using server = await openServer();
    const clients = await Promise.all(Array.from({ length: 300 }, () => connected(server)));
    expect((await fetch(`${server.url}/livez`)).status).toBe(200);
    await Promise.all(clients.map(untilClosed));
  }, 60_000);

  it("say nothing, answers beside any number of them and keeps the newest", async () => {
    // Only numbers close a connection here.
    vi.useFakeTimers({ toFake: ["setTimeout"] });
    try {
      await using server = await openServer();
      const clients: Socket[] = [];
      for (let round = 0; round < 6; round += 1) {
        clients.push(...(await Promise.all(Array.from({ length: 100 }, () => connected(server)))));
      }
      expect((await fetch(`${server.url}/livez`)).status).toBe(200);
      await Promise.all(clients.slice(0, 100).map(untilClosed));
      expect(clients.slice(200).filter(({ closed }) => closed)).toEqual([]);
    } finally {
      vi.useRealTimers();
    }
  });

  const slow = [
    { does: "never end their headers", head: "GET /livez HTTP/1.1\r\n", drop: "x: y\r\n" },
    {
      does: "never end their body",
      head: "POST /livez HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n",
      drop: "1\r\nx\r\n",
    },
  ];
  for (const { does, head, drop } of slow) {
    it(`${does}, closes them`, async () => {
      await using server = await openServer();
      const client = await connected(server);
      client.write(head);
      const dripping = setInterval(() => client.write(drop), 100);
      try {
        await untilClosed(client);
      } finally {
        clearInterval(dripping);
      }
    }, 60_000);
  }

  it("do not read their answer, closes them", async () => {
    const body = { long: "x".repeat(16 * 1024 * 1024) };
    await using server = await openServer(body);
    const reader = await connected(server);
    reader.pause();
    reader.write(ASKED);
    // Came later, and has to be closed later.
    const silent = await connected(server);
    await untilClosed(silent);
    let bytes = 0;
    reader.on("data", (chunk) => {
      bytes += chunk.length;
    });
    await untilClosed(reader);
    expect(bytes).toBeLessThan(body.long.length);
  }, 60_000);

  it("want to keep their connection, closes it after the answer", async () => {
    await using server = await openServer();
    const client = await connected(server);
    client.write(ASKED);
    const [chunk] = await once(client, "data");
    expect(String(chunk)).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    expect(String(chunk)).toMatch(/^connection: close\r$/im);
    await untilClosed(client);
  }, 60_000);
});

describe("the health server at its default address", () => {
  const loopback = Object.values(networkInterfaces()).flatMap((found = []) =>
    found.filter(({ internal }) => internal).map(({ address }) => address),
  );
  for (const address of ["127.0.0.1", "::1"].filter((known) => loopback.includes(known))) {
    it(`answers on ${address}`, async () => {
      await using server = await openServer({}, "::");
      const { port } = new URL(server.url);
      const host = address.includes(":") ? `[${address}]` : address;
      expect((await fetch(`http://${host}:${port}/livez`)).status).toBe(200);
    });
  }

  it("names a URL that answers", async () => {
    for (const host of ["::", "0.0.0.0", "127.0.0.1", "localhost"]) {
      await using server = await openServer({}, host);
      expect((await fetch(`${server.url}/livez`)).status).toBe(200);
    }
  });
});

function openServer(body: object = {}, host = "127.0.0.1"): Promise<HealthServer> {
  return openHealthServer({ host, port: 0, routes: { "/livez": () => ({ status: 200, body }) } });
}

async function connected({ url }: HealthServer): Promise<Socket> {
  const { hostname, port } = new URL(url);
  const socket = connect({ host: hostname, port: Number(port) });
  socket.on("error", () => undefined);
  await once(socket, "connect");
  return socket;
}

async function untilClosed(socket: Socket): Promise<void> {
  socket.resume();
  if (socket.closed) return;
  await once(socket, "close", { signal: AbortSignal.timeout(CLOSED_WITHIN_MS) });
}
