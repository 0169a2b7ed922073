import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";

const HOST = "127.0.0.1";

export interface ProxyTarget {
  readonly host: string;
  readonly port: number;
}

/** Called for every connection; what it returns is shown all that the client sends, in whatever pieces. */
export type Observer = () => (chunk: Buffer) => void;

/** A TCP proxy on 127.0.0.1 that can fail the way networks do. */
export async function startTcpProxy(
  target: ProxyTarget,
  observer: Observer = () => () => undefined,
): Promise<TcpProxy> {
  const server = createServer({ allowHalfOpen: true });
  server.listen(0, HOST);
  await once(server, "listening");
  return new TcpProxy(server, target, observer);
}

interface Pair {
  readonly client: Socket;
  /** `null` when it was accepted into a black hole. */
  upstream: Socket | null;
}

export class TcpProxy implements AsyncDisposable {
  readonly host = HOST;
  readonly port: number;
  readonly #server: Server;
  #target: ProxyTarget;
  readonly #pairs = new Set<Pair>();
  readonly #observer: Observer;
  #mode: "through" | "hole" | "slam" | "refuse" = "through";
  #connections = 0;
  #bytesUp = 0;
  #bytesDown = 0;

  constructor(server: Server, target: ProxyTarget, observer: Observer) {
    const address = server.address();
    if (address === null || typeof address === "string") throw new Error("the proxy has no port");
    this.port = address.port;
    this.#server = server;
    this.#target = target;
    this.#observer = observer;
    server.on("connection", (client: Socket) => this.#accept(client));
  }

  /** Accepted since the start. */
  get connections(): number {
    return this.#connections;
  }

  get open(): number {
    return this.#pairs.size;
  }

  /** From clients to the target. */
  get bytesUp(): number {
    return this.#bytesUp;
  }

  get bytesDown(): number {
    return this.#bytesDown;
  }

  /** The URL of the target with the proxy in its place. */
  url(of: string): string {
    const url = new URL(of);
    url.hostname = HOST;
    url.port = String(this.port);
    return url.href;
  }

  /** Everything sent from now on is lost, in both directions, and no connection closes: half-open. */
  blackhole(): void {
    this.#mode = "hole";
  }

  /** Breaks every connection, and every new one as soon as it is there: unlike those that are refused, they count. */
  slam(): void {
    this.#mode = "slam";
    this.reset();
  }

  /** Breaks every connection and stops listening: new ones are refused. */
  async refuse(): Promise<void> {
    this.#mode = "refuse";
    await this.#stopListening();
  }

  /** New connections lead there. Those that exist stay where they are, as behind a name that changed its address. */
  pointAt(target: ProxyTarget): void {
    this.#target = target;
  }

  /** Breaks every connection once. */
  reset(): void {
    for (const { client, upstream } of this.#pairs) {
      client.resetAndDestroy();
      upstream?.destroy();
    }
  }

  /** New connections pass again. Those that lost bytes in a black hole are broken: they cannot be mended. */
  async heal(): Promise<void> {
    const { port } = this;
    if (this.#mode === "hole") this.reset();
    this.#mode = "through";
    if (this.#server.listening) return;
    this.#server.listen(port, HOST);
    await once(this.#server, "listening");
  }

  /** Safe to call again. */
  async close(): Promise<void> {
    await this.#stopListening();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #stopListening(): Promise<void> {
    if (!this.#server.listening) return;
    const closed = once(this.#server, "close");
    this.#server.close();
    this.reset();
    await closed;
  }

  #accept(client: Socket): void {
    this.#connections += 1;
    client.on("error", () => undefined);
    if (this.#mode === "slam") {
      client.resetAndDestroy();
      return;
    }
    client.on("data", this.#observer());
    const pair: Pair = { client, upstream: null };
    this.#pairs.add(pair);
    client.once("close", () => {
      this.#pairs.delete(pair);
      pair.upstream?.destroy();
    });
    if (this.#mode === "hole") {
      client.resume();
      return;
    }
    const { host, port } = this.#target;
    const upstream = connect({ host, port, allowHalfOpen: true });
    pair.upstream = upstream;
    upstream.on("error", () => client.resetAndDestroy());
    upstream.once("close", () => {
      if (this.#mode !== "hole") client.destroy();
    });
    this.#pump(client, upstream, (bytes) => {
      this.#bytesUp += bytes;
    });
    this.#pump(upstream, client, (bytes) => {
      this.#bytesDown += bytes;
    });
  }

  #pump(from: Socket, to: Socket, count: (bytes: number) => void): void {
    from.on("data", (chunk: Buffer) => {
      if (this.#mode === "hole") return;
      count(chunk.length);
      if (!to.write(chunk)) {
        from.pause();
        to.once("drain", () => from.resume());
      }
    });
    from.on("end", () => {
      if (this.#mode !== "hole") to.end();
    });
  }
}
