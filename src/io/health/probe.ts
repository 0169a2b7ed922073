import { get, type IncomingMessage } from "node:http";
import { text } from "node:stream/consumers";

/**
 * Asks a health server on this machine.
 *
 * @param host what the server listens on.
 * @throws when there is no answer within `timeoutMs`, with Node's code where it has one.
 */
export async function probe(
  host: string,
  port: number,
  path: string,
  timeoutMs: number,
): Promise<{ readonly status: number; readonly body: string }> {
  // What listens everywhere may do so without IPv6.
  const address = host === "::" ? "127.0.0.1" : host;
  const signal = AbortSignal.timeout(timeoutMs);
  // An agent of its own knows no proxy, whatever the environment says.
  const request = get({ host: address, port, path, signal, agent: false });
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  request.once("response", resolve).once("error", reject);
  const response = await promise;
  return { status: response.statusCode ?? 0, body: await text(response) };
}
