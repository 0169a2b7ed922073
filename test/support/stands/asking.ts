import type { Connection } from "../../../src/io/postgres/connection/connection.ts";
import { statement } from "../../../src/io/postgres/connection/statement.ts";

/** A question that a call puts to the server, for what the answer tells about the connection. */
export function asking<Row extends object>(
  text: string,
): (connection: Connection) => Promise<readonly Row[]> {
  return (connection) => connection.query(statement<object, Row>(text), {});
}
