/** What clients ask of PostgreSQL and of Redis, counted on the wire. */
import { commandsIn } from "../../services/redis/scripted-redis.ts";
import type { Observer } from "../../services/tcp-proxy.ts";

export interface WireCount {
  /** Statements or commands so far. */
  count: number;
  readonly observer: Observer;
}

export function countRedisCommands(): WireCount {
  const counted: WireCount = {
    count: 0,
    observer: () => (chunk) => {
      counted.count += commandsIn(chunk.toString("latin1")).length;
    },
  };
  return counted;
}

/** Executed statements, whether they were prepared or not. */
export function countStatements(): WireCount {
  const counted: WireCount = {
    count: 0,
    observer: () => {
      const parser = new MessageParser();
      return (chunk) => {
        counted.count += parser.push(chunk).filter((type) => STATEMENTS.has(type)).length;
      };
    },
  };
  return counted;
}

/** Query and Execute. */
const STATEMENTS = new Set(["Q", "E"]);
const PROTOCOL_3 = 3 << 16;

/** Takes one client's stream apart into the types of its messages. */
class MessageParser {
  #pending: Buffer = Buffer.alloc(0);
  /** Messages have no type until the session has been asked for. */
  #asked = false;

  push(chunk: Buffer): readonly string[] {
    this.#pending = Buffer.concat([this.#pending, chunk]);
    const types: string[] = [];
    for (let type = this.#next(); type !== null; type = this.#next()) types.push(type);
    return types;
  }

  #next(): string | null {
    const head = this.#asked ? 1 : 0;
    if (this.#pending.length < head + 4) return null;
    const end = head + this.#pending.readInt32BE(head);
    if (this.#pending.length < end) return null;
    const message = this.#pending.subarray(0, end);
    this.#pending = this.#pending.subarray(end);
    if (this.#asked) return String.fromCharCode(message[0] ?? 0);
    this.#asked = message.readInt32BE(4) === PROTOCOL_3;
    return "";
  }
}
