import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { describe, expect, it } from "vitest";
import { startTcpProxy } from "../services/tcp-proxy.ts";

describe("TcpProxy", () => {
  it("passes bytes in both directions and counts them", async () => {
    await using world = await setup();
    const client = await world.dial();
    expect(await say(client, "hello")).toBe("hello");
    const { connections, bytesUp, bytesDown } = world.proxy;
    expect({ connections, bytesUp, bytesDown }).toEqual({
      connections: 1,
      bytesUp: 5,
      bytesDown: 5,
    });
  });

  it("swallows everything in a black hole, for old and new connections, and closes none", async () => {
    await using world = await setup();
    const old = await world.dial();
    await say(old, "before");
    world.proxy.blackhole();
    const fresh = await world.dial();
    let heard = 0;
    for (const socket of [old, fresh]) {
      socket.on("data", () => {
        heard += 1;
      });
      await new Promise((resolve) => socket.write("lost", resolve));
    }
    await world.settled();
    expect({ heard, open: !old.destroyed && !fresh.destroyed }).toEqual({ heard: 0, open: true });
    expect(world.proxy.bytesUp).toBe(6);
  });

  it("breaks the connections of a black hole when it heals, and lets new ones through", async () => {
    await using world = await setup();
    const old = await world.dial();
    world.proxy.blackhole();
    await world.proxy.heal();
    await gone(old);
    expect(await say(await world.dial(), "again")).toBe("again");
  });

  it("refuses new connections until it heals", async () => {
    await using world = await setup();
    const old = await world.dial();
    await world.proxy.refuse();
    await gone(old);
    await expect(world.dial()).rejects.toThrow("ECONNREFUSED");
    await world.proxy.heal();
    expect(await say(await world.dial(), "back")).toBe("back");
  });

  it("slams the door on new connections until it heals, and counts them", async () => {
    await using world = await setup();
    const old = await world.dial();
    world.proxy.slam();
    await gone(old);
    // It may be broken before it is known to be there.
    await world.dial().then(gone, () => undefined);
    expect(world.proxy.connections).toBe(2);
    await world.proxy.heal();
    expect(await say(await world.dial(), "back")).toBe("back");
  });

  it("shows its observer what each client sends, also what a black hole swallows", async () => {
    await using world = await setup();
    await say(await world.dial(), "one");
    const other = await world.dial();
    await say(other, "two");
    world.proxy.blackhole();
    other.write("three");
    await expect.poll(() => world.seen).toEqual(["one", "twothree"]);
  });

  it("breaks every connection once on reset", async () => {
    await using world = await setup();
    const old = await world.dial();
    await say(old, "before");
    world.proxy.reset();
    await gone(old);
    expect(await say(await world.dial(), "after")).toBe("after");
  });

  it("hands on the end of either side", async () => {
    await using world = await setup();
    const client = await world.dial();
    const ended = once(client.resume(), "end");
    client.end("bye");
    await ended;
    expect(world.proxy.bytesUp).toBe(3);
  });
});

async function setup() {
  const echo = createServer((socket) => {
    socket.on("error", () => undefined);
    socket.pipe(socket);
  });
  echo.listen(0, "127.0.0.1");
  await once(echo, "listening");
  const address = echo.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  const seen: string[] = [];
  const proxy = await startTcpProxy({ host: "127.0.0.1", port: address.port }, () => {
    const index = seen.push("") - 1;
    return (chunk) => {
      seen[index] += String(chunk);
    };
  });
  const sockets: Socket[] = [];
  return {
    proxy,
    /** By connection, in the order in which they were accepted. */
    seen,
    async dial(): Promise<Socket> {
      const socket = connect(proxy.port, proxy.host);
      sockets.push(socket);
      await once(socket, "connect");
      socket.on("error", () => undefined);
      return socket;
    },
    /** What was sent before has reached the target, had it been let through: a direct round trip is over. */
    async settled(): Promise<void> {
      const direct = connect(address.port, "127.0.0.1");
      await say(direct, "direct");
      direct.destroy();
    },
    async [Symbol.asyncDispose](): Promise<void> {
      for (const socket of sockets) socket.destroy();
      await proxy.close();
      echo.close();
      await once(echo, "close");
    },
  };
}

async function say(socket: Socket, text: string): Promise<string> {
  const answer = once(socket, "data");
  socket.write(text);
  const [data] = await answer;
  return String(data);
}

async function gone(socket: Socket): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  socket.once("close", () => resolve()).resume();
  if (!socket.closed) await promise;
}
