import { once } from "node:events";
import type { Socket } from "node:net";

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
