/** What a parameter may be. Its type inside Postgres is given by the cast that follows it in the text. */
export type Value = string | number | boolean | null;

/** The text of one statement with `$1`, and the order in which its parameters are sent. */
export interface Statement<Params, Row> {
  readonly text: string;
  readonly names: readonly (keyof Params & string)[];
  /** For types only: what a row of the answer is. */
  readonly row?: Row;
}

/**
 * A statement from its SQL with named parameters, as psql knows them too: to try one, `\set` its names and paste it.
 * Text that is to become a timestamp or json is written `:name::text::timestamptz`: a plain cast would have postgres.js
 * turn it into a Date, which drops the microseconds.
 *
 * @param text uses every name of `Params`; columns of the answer are named as in `Row`.
 */
export function statement<Params extends Readonly<Record<keyof Params, Value>>, Row>(
  text: string,
): Statement<Params, Row> {
  const names: (keyof Params & string)[] = [];
  const numbered = text.replace(NAMED, (_, name: keyof Params & string) => {
    if (!names.includes(name)) names.push(name);
    return `$${names.indexOf(name) + 1}`;
  });
  return { text: numbered, names };
}

/** Not the second colon of a cast. */
const NAMED = /(?<!:):([a-zA-Z]\w*)/g;
