import { getTableColumns, getTableName } from "drizzle-orm";
import type { Statement } from "./connection/statement.ts";
import { leadership, shards, suspicions, verdicts } from "./schema.ts";

/**
 * A reading statement for a database without the worker's own tables: in the place of each it has an empty one with the
 * same columns. So there is one text of each statement, and what nothing is remembered of is judged as on the first day.
 */
export function withoutMemory<Params, Row>(
  statement: Statement<Params, Row>,
): Statement<Params, Row> {
  const { text } = statement;
  const known = TEXTS.get(text);
  if (known !== undefined) return { ...statement, text: known };
  const replaced = text.replace(OWN_TABLE, (_, name: string, alias: string | undefined) => {
    return `${EMPTY.get(name)} AS ${alias ?? name}`;
  });
  TEXTS.set(text, replaced);
  return { ...statement, text: replaced };
}

const TEXTS = new Map<string, string>();

const EMPTY: ReadonlyMap<string, string> = new Map(
  [leadership, shards, suspicions, verdicts].map((table) => {
    const columns = Object.values(getTableColumns(table)).map(
      (column) => `NULL::${column.getSQLType()} AS ${column.name}`,
    );
    return [getTableName(table), `(SELECT ${columns.join(", ")} WHERE false)`];
  }),
);

const OWN_TABLE = new RegExp(`watchdog\\.(${[...EMPTY.keys()].join("|")})\\b(?: AS (\\w+))?`, "g");
