import type { Socket } from "node:net";
import { describe, expect, it } from "vitest";
import { sendJson, startHttpServer } from "../../services/http-server.ts";
import { openClient } from "../http/world.ts";
import { ask, settleTraffic } from "../openhands/asking.ts";

const MINE = response('"mine"');
const THEIRS = response('"theirs"');

function response(body: string): string {
  return `HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
}

/** What is sent on a connection that is kept must never answer the next question on it. */
describe("A server that sends more than it was asked for", () => {
  for (const [name, sent] of [
    ["a second answer", MINE + THEIRS],
    ["half of a second answer", MINE + THEIRS.slice(0, -3)],
    ["bytes that are no answer", `${MINE}\0\0\0\0`],
    ["a body longer than its length", `${MINE}theirs`],
  ] as const) {
    it(`has ${name} thrown away`, async () => {
      const sockets = new Set<Socket | null>();
      await using server = await startHttpServer((request, { socket }) => {
        sockets.add(socket);
        socket?.write(request.target === "/first" ? sent : MINE);
      });
      await using client = openClient();
      expect(await ask(client.http, server.origin, { path: "/first" })).toMatchObject({
        body: "mine",
      });
      expect(await ask(client.http, server.origin, { path: "/second" })).toMatchObject({
        body: "mine",
      });
      expect(server.requests.map(({ target }) => target)).toEqual(["/first", "/second"]);
      expect(sockets.size).toBe(2);
    });
  }

  it("has an answer thrown away that comes while nothing is asked", async () => {
    const sockets: (Socket | null)[] = [];
    await using server = await startHttpServer((_, answer) => {
      sockets.push(answer.socket);
      sendJson(answer, 200, "mine");
    });
    await using client = openClient();
    await ask(client.http, server.origin);
    sockets[0]?.write(THEIRS);
    await settleTraffic();
    expect(await ask(client.http, server.origin)).toMatchObject({ body: "mine" });
    expect(new Set(sockets).size).toBe(2);
  });
});

describe("A connection that is kept", () => {
  it("may carry many answers, however much they are together", async () => {
    const text = "x".repeat(10_000);
    const ports = new Set<number | undefined>();
    await using server = await startHttpServer((_, answer) => {
      ports.add(answer.socket?.remotePort);
      sendJson(answer, 200, text);
    });
    await using client = openClient({ limits: { maxAnswerBytes: 11_000 } });
    for (let round = 0; round < 10; round += 1) {
      expect(await ask(client.http, server.origin)).toMatchObject({ body: text });
    }
    expect(ports.size).toBeLessThan(10);
  });
});
