/**
 * Cuts off connections that send more in one answer than any honest server does.
 *
 * Counted on the wire, because status lines, interim answers and chunk extensions can go on for ever without a byte of
 * a body, and nobody who reads the body would notice.
 */
import { buildConnector, type Pool } from "undici";

type Connector = buildConnector.connector;
type Connection = NonNullable<Parameters<buildConnector.Callback>[1]>;

/** `102 Processing`, `103 Early Hints`: honest servers send one or two. */
const MAX_INTERIM_ANSWERS = 100;

/** An answer exceeded a limit; the message can become a failure's. */
export class FloodError extends Error {
  override readonly name = "FloodError";
}

export interface WireLimits {
  /** Of one answer: status line, headers, body and framing. */
  readonly maxBytes: number;
  /** Called with the size of everything received, over all connections. */
  readonly onReceived: (bytes: number) => void;
}

/** Connects as `connect` says, to servers whose answers stay within the limits. */
export function limitAnswers(connect: Pool.Options["connect"], limits: WireLimits): Connector {
  const open = typeof connect === "function" ? connect : buildConnector(connect);
  return (options, callback) =>
    open(options, (...result) => {
      const [, connection] = result;
      // After a failure undici leaves it out, whatever its types say.
      if (connection) watch(connection, limits);
      callback(...result);
    });
}

/** To be called for each interim answer of one call: they cost time like answers, and nothing else limits them. */
export function limitInterimAnswers(): () => void {
  let left = MAX_INTERIM_ANSWERS;
  return () => {
    left -= 1;
    if (left >= 0) return;
    throw new FloodError(`answered with more than ${MAX_INTERIM_ANSWERS} interim answers`);
  };
}

/** A connection has one request at a time, so everything received after it was sent belongs to its answer. */
function watch(connection: Connection, { maxBytes, onReceived }: WireLimits): void {
  let sent = 0;
  let received = 0;
  let answerFrom = 0;
  connection.on("readable", () => {
    if (connection.bytesWritten !== sent) {
      sent = connection.bytesWritten;
      answerFrom = received;
    }
    onReceived(connection.bytesRead - received);
    received = connection.bytesRead;
    if (received - answerFrom <= maxBytes) return;
    connection.destroy(new FloodError(`answered with more than ${maxBytes} bytes`));
  });
}
