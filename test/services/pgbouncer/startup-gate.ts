/** A door in front of PostgreSQL that lets only those sessions in that ask for nothing special, as poolers do. */
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";

const KNOWN = new Set(["user", "database", "application_name", "client_encoding"]);
const PARSE = "P".charCodeAt(0);
const TLS_REQUEST = 80_877_103;

export interface StartupGate extends AsyncDisposable {
  readonly host: string;
  readonly port: number;
  /** The SQLSTATE with which nobody is let in, whatever they ask for; `null` lets the others in. */
  closedWith: string | null;
  /** Lets nobody in and ends the sessions of those who are, or are about to be. */
  closeOn(sqlState: string): void;
  /** The parameters of each session that asked to be let in, in order. */
  readonly asked: readonly (readonly string[])[];
  readonly refused: number;
  /** Names given to prepared statements. */
  readonly named: readonly string[];
}

export async function startStartupGate(
  target: { readonly host: string; readonly port: number },
  { sqlState = "08P01" }: { readonly sqlState?: string } = {},
): Promise<StartupGate> {
  const asked: string[][] = [];
  const named: string[] = [];
  let refused = 0;
  const sockets = new Set<Socket>();
  const server = createServer(async (client) => {
    sockets.add(client);
    client.on("error", () => undefined).once("close", () => sockets.delete(client));
    const startup = await startupOf(client);
    if (startup === null) return;
    const parameters = parametersOf(startup);
    asked.push(parameters);
    const unknown = parameters.find((name) => !KNOWN.has(name));
    if (gate.closedWith !== null || unknown !== undefined) {
      refused += 1;
      const why = unknown === undefined ? "no more" : `unsupported startup parameter: ${unknown}`;
      client.end(refusal(gate.closedWith ?? sqlState, why));
      return;
    }
    const upstream = connect(target);
    upstream.on("error", () => client.destroy()).once("close", () => client.destroy());
    client.once("close", () => upstream.destroy());
    client.on("data", (chunk: Buffer) => named.push(...statementNames(chunk)));
    upstream.write(startup);
    client.pipe(upstream).pipe(client);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the gate has no port");
  const gate: StartupGate = {
    host: "127.0.0.1",
    port: address.port,
    closedWith: null,
    closeOn(code) {
      gate.closedWith = code;
      for (const socket of sockets) socket.destroy();
    },
    asked,
    named,
    get refused() {
      return refused;
    },
    async [Symbol.asyncDispose]() {
      server.close();
      for (const socket of sockets) socket.destroy();
      await once(server, "close");
    },
  };
  return gate;
}

/** TLS is declined. `null` when the client has gone before it said anything. */
async function startupOf(client: Socket): Promise<Buffer | null> {
  for (;;) {
    const [message]: Buffer[] = await once(client, "data").catch(() => []);
    if (message === undefined) return null;
    if (message.readInt32BE(4) !== TLS_REQUEST) return message;
    client.write("N");
  }
}

/** Length, protocol, then name and value in turn, each ended by NUL. */
function parametersOf(startup: Buffer): string[] {
  const words = startup.subarray(8).toString("utf8").split("\0");
  return words.filter((word, index) => index % 2 === 0 && word !== "");
}

function refusal(sqlState: string, message: string): Buffer {
  const fields = ["SFATAL", "VFATAL", `C${sqlState}`, `M${message}`, "", ""].join("\0");
  const body = Buffer.from(fields, "utf8");
  const head = Buffer.alloc(5);
  head.write("E");
  head.writeInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
}

/** Of the messages that begin in this chunk. */
function statementNames(chunk: Buffer): readonly string[] {
  const names: string[] = [];
  let at = 0;
  while (at + 5 <= chunk.length) {
    const length = chunk.readInt32BE(at + 1);
    if (chunk[at] === PARSE) {
      const name = chunk.subarray(at + 5, chunk.indexOf(0, at + 5)).toString("utf8");
      if (name !== "") names.push(name);
    }
    at += 1 + length;
  }
  return names;
}
