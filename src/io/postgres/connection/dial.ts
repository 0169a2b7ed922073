import { once } from "node:events";
import { connect, isIP, type Socket } from "node:net";
import { type ConnectionOptions as TlsOptions, connect as tlsConnect } from "node:tls";
import type { Address, TlsMode } from "../../../rules/network/endpoints.ts";

/**
 * Connects, with TLS as far as it is wanted. There is no deadline: whoever waits destroys what it was given to hold.
 *
 * @param serverName whom the certificate has to name; an address when there is no name.
 * @param hold told of each socket as soon as there is one.
 * @throws an error without a code where TLS has to be and is not; what Node says otherwise.
 */
export async function dial(
  { host, port, path }: Address,
  tls: TlsMode,
  serverName: string,
  hold: (socket: Socket) => void,
): Promise<Socket> {
  const plain = path === null ? connect({ host, port, noDelay: true }) : connect(path);
  hold(plain);
  await once(plain, "connect");
  if (tls === "off") return plain;
  if (!(await offersTls(plain))) {
    if (tls === "prefer") return plain;
    throw new Error(NO_TLS);
  }
  const servername = isIP(serverName) === 0 ? { servername: serverName } : {};
  const secured = tlsConnect({ socket: plain, ...servername, ...tlsOptions(tls) });
  hold(secured);
  await once(secured, "secureConnect");
  return secured;
}

const NO_TLS =
  "the server speaks no TLS, and sslmode asks for it: turn it on there (ssl = on), or use sslmode=prefer or disable";

/** Length, and the number that stands for the question. */
const TLS_REQUEST = Buffer.from([0, 0, 0, 8, 4, 210, 22, 47]);
const YES = "S".charCodeAt(0);

async function offersTls(socket: Socket): Promise<boolean> {
  const { promise: answer, resolve, reject } = Promise.withResolvers<Buffer>();
  const hungUp = () => reject(brokenOff());
  socket.once("data", resolve).once("error", reject).once("close", hungUp);
  socket.write(TLS_REQUEST);
  try {
    const [first, ...more] = await answer;
    // Whatever stands behind a yes was put there by somebody in between, and would count as said under TLS.
    if (first === YES && more.length > 0) throw brokenOff();
    return first === YES;
  } finally {
    socket.off("data", resolve).off("error", reject).off("close", hungUp);
  }
}

/** As Node says it of a socket that the other side has closed. */
export function brokenOff(): Error {
  return Object.assign(new Error("the server closed the connection"), { code: "ECONNRESET" });
}

function tlsOptions(tls: Exclude<TlsMode, "off">): TlsOptions {
  if (typeof tls === "string") return { rejectUnauthorized: false };
  return {
    rejectUnauthorized: true,
    ...(tls.ca === null ? {} : { ca: tls.ca }),
    ...(tls.verify === "ca" ? { checkServerIdentity: () => undefined } : {}),
  };
}

/** What the server told a session at its start; who knows it may cancel what the session does. */
export interface BackendKey {
  readonly pid: number;
  readonly secret: number;
}

/**
 * Sends the one message that a connection of this kind consists of. Nothing is answered: the server hangs up when it
 * has passed the wish on, and the statement's own answer tells what came of it.
 *
 * postgres.js can cancel too, but nobody learns there how it went, and a refused connection ends the process.
 */
export async function requestCancel(socket: Socket, { pid, secret }: BackendKey): Promise<void> {
  const message = Buffer.alloc(16);
  message.writeUInt32BE(message.length, 0);
  message.writeUInt32BE(CANCEL_REQUEST, 4);
  message.writeUInt32BE(pid, 8);
  message.writeUInt32BE(secret, 12);
  socket.resume();
  socket.write(message);
  await once(socket, "close");
}

const CANCEL_REQUEST = 80_877_102;
