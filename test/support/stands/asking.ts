import type { Connection } from "../../../src/io/postgres/connection/connection.ts";
import { statement } from "../../../src/io/postgres/connection/statement.ts";

/** A question that a call puts to the server, for what the answer tells about the connection. */
export function asking<Row extends object>(
  text: string,
): (connection: Connection) => Promise<readonly Row[]> {
  return (connection) => connection.query(statement<object, Row>(text), {});
}

/** Work for so many calls, which ends when all of them have begun: each takes a session of its own. */
export function meeting(count: number): () => Promise<void> {
  const all = Promise.withResolvers<void>();
  let begun = 0;
  return () => {
    begun += 1;
    if (begun === count) all.resolve();
    return all.promise;
  };
}
