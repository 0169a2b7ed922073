import { connect } from "node:net";
import { describe, expect, it, vi } from "vitest";
import { certificate, trustAuthority } from "../../services/certificates.ts";
import { type HttpServer, startHttpServer } from "../../services/http-server.ts";
import { flood, raw } from "../hostile/tables/answers.ts";
import { ask, message } from "../openhands/asking.ts";
import { openClient } from "./world.ts";

const ANSWER = `HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n"mine"`;

/** What comes of an answer when so many bytes are allowed. */
async function limitedTo(maxAnswerBytes: number, answer = ANSWER) {
  await using server = await startHttpServer(raw(answer));
  await using client = openClient({ limits: { maxAnswerBytes } });
  const result = await ask(client.http, server.origin);
  return result.kind === "json" ? result.body : message(result);
}

function tooLong(bytes: number): string {
  return `malformed: agent_server bash_events_search answered with more than ${bytes} bytes`;
}

describe("limitAnswers", () => {
  it("lets an answer pass that has as many bytes as allowed, with its head", async () => {
    expect(await limitedTo(ANSWER.length)).toBe("mine");
  });

  it("cuts off an answer that has one byte more", async () => {
    expect(await limitedTo(ANSWER.length - 1)).toBe(tooLong(ANSWER.length - 1));
  });

  it("counts interim answers", async () => {
    const hints = "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(3);
    const bytes = hints.length + ANSWER.length;
    expect(await limitedTo(bytes, hints + ANSWER)).toBe("mine");
    expect(await limitedTo(bytes - 1, hints + ANSWER)).toBe(tooLong(bytes - 1));
  });

  it("counts each answer on a connection by itself", async () => {
    const ports = new Set<number | undefined>();
    await using server = await startHttpServer((_, response) => {
      ports.add(response.socket?.remotePort);
      response.setHeader("content-length", 1000).end(`"${"x".repeat(998)}"`);
    });
    await using client = openClient({ limits: { maxAnswerBytes: 2000 } });
    for (let round = 0; round < 10; round += 1) {
      expect(await ask(client.http, server.origin)).toMatchObject({ kind: "json" });
    }
    expect(ports.size).toBeLessThan(10);
  });

  it("tells of each 16 MiB that have come in, over all connections", async () => {
    const body = `"${"x".repeat(1024 * 1024 - 2)}"`;
    await using server = await startHttpServer((_, response) => {
      response.setHeader("content-type", "application/json").end(body);
    });
    const onBulk = vi.fn();
    await using client = openClient({ onBulk });
    const answers = (count: number) =>
      Promise.all(Array.from({ length: count }, () => ask(client.http, server.origin)));
    await answers(15);
    expect(onBulk).not.toHaveBeenCalled();
    await answers(1);
    expect(onBulk).toHaveBeenCalledTimes(1);
    await answers(16);
    expect(onBulk).toHaveBeenCalledTimes(2);
  });

  it("cuts off a flood that comes by way of a proxy", async () => {
    await using proxy = await startHttpServer(flood("HTTP/1.1 200 ", "x".repeat(1000)));
    const settings = { httpProxy: proxy.origin, httpsProxy: null, noProxy: null };
    await using client = openClient({ proxy: settings, limits: { maxAnswerBytes: 50_000 } });
    expect(message(await ask(client.http, "http://agent.example"))).toBe(tooLong(50_000));
  });

  it("cuts off a flood that comes through a proxy's tunnel", async () => {
    using _ = trustAuthority();
    const flooding = flood("HTTP/1.1 200 ", "x".repeat(1000));
    await using server = await startHttpServer(flooding, certificate("server"));
    await using proxy = await startTunnel(server.port);
    const settings = { httpProxy: null, httpsProxy: proxy.origin, noProxy: null };
    await using client = openClient({ proxy: settings, limits: { maxAnswerBytes: 50_000 } });
    expect(message(await ask(client.http, server.origin))).toBe(tooLong(50_000));
    expect(server.requests).toHaveLength(1);
  });
});

/** A proxy whose tunnels all lead to this port. */
async function startTunnel(port: number): Promise<HttpServer> {
  const proxy = await startHttpServer(() => {});
  proxy.server.on("connect", (_, socket) => {
    const through = connect(port, "127.0.0.1");
    socket.on("error", () => through.destroy());
    through.on("error", () => socket.destroy());
    socket.write("HTTP/1.1 200 Connection established\r\n\r\n");
    socket.pipe(through).pipe(socket);
  });
  return proxy;
}
