import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";

/** How one connection ended, as the server saw it. */
export type Ending = "closed" | "reset";

/** Instead of an answer, the connection is closed, or broken. */
export const HANG_UP = Symbol("hang up");
export const RESET = Symbol("reset");

/**
 * Gets a command's words in lower case, separated by spaces, and returns what is sent back, without CRLF; `null` keeps
 * silent.
 */
export type Answering = (command: string) => string | null | typeof HANG_UP | typeof RESET;

/**
 * A TCP server that speaks Redis as far as a test tells it to: for answers that a real server gives only in situations
 * that cannot be forced, and for silence.
 */
export class ScriptedRedis implements AsyncDisposable {
  /** How many connections have been opened so far. */
  connections = 0;
  /** One for every connection that has ended. */
  readonly endings: Ending[] = [];
  /** The first byte that arrived, of the newest connection. */
  firstByte: number | null = null;
  /** Everything that was asked, in lower case. */
  readonly commands: string[] = [];
  readonly #answer: Answering;
  readonly #farewell: string | null;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(answer: Answering, farewell: string | null) {
    this.#answer = answer;
    this.#farewell = farewell;
    this.#server = createServer((socket) => this.#serve(socket));
  }

  /**
   * Listens on a free port of 127.0.0.1.
   *
   * @param farewell what everybody is told, unasked, before the connection is closed.
   */
  static async start(answer: Answering, farewell: string | null = null): Promise<ScriptedRedis> {
    const redis = new ScriptedRedis(answer, farewell);
    redis.#server.listen(0, "127.0.0.1");
    await once(redis.#server, "listening");
    return redis;
  }

  get url(): string {
    const address = this.#server.address();
    if (address === null || typeof address === "string") throw new Error("not listening");
    return `redis://127.0.0.1:${address.port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, "close");
  }

  /** Closes every connection; new ones are served. */
  hangUp(): void {
    for (const socket of this.#sockets) socket.end();
  }

  #serve(socket: Socket): void {
    this.connections += 1;
    this.#sockets.add(socket);
    if (this.#farewell !== null) {
      socket.write(`${this.#farewell}\r\n`);
      socket.destroySoon();
    }
    let reset = false;
    socket.on("error", () => {
      reset = true;
    });
    socket.on("close", () => {
      this.#sockets.delete(socket);
      this.endings.push(reset ? "reset" : "closed");
    });
    socket.on("data", (data) => {
      this.firstByte = data[0] ?? null;
      for (const command of commandsIn(data.toString("latin1"))) {
        this.commands.push(command);
        const reply = this.#answer(command);
        if (typeof reply === "string") socket.write(`${reply}\r\n`);
        if (reply === HANG_UP || command === "quit") socket.end();
        if (reply === RESET) socket.resetAndDestroy();
      }
    });
  }
}

/** Agrees to everything, as a server does that nobody else uses. */
export function likeRedis(command: string): string {
  return command.startsWith("eval ") ? ":1" : "+OK";
}

/** Agrees to every SET, and the key is not there afterwards. */
export function forgetful(command: string): string {
  return command.startsWith("eval ") ? ":0" : "+OK";
}

/** The commands in what a client sends. Small ones arrive whole; lines with lengths are left out. */
export function commandsIn(text: string): readonly string[] {
  return text
    .split(/^\*\d+\r\n/m)
    .map((part) =>
      part
        .split("\r\n")
        .filter((_, line) => line % 2 === 1)
        .join(" ")
        .toLowerCase(),
    )
    .filter((command) => command !== "");
}
