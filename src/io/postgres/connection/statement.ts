/** What a parameter may be. Its type inside Postgres is given by the cast that follows it in the text. */
export type Value = string | number | boolean | null;

/** Parameters by their names. */
export type Values<Params> = Readonly<Record<keyof Params, Value>>;

/** The text of one statement with `$1`, and the order in which its parameters are sent. */
export interface Statement<Params, Row> {
  readonly text: string;
  readonly names: readonly (keyof Params & string)[];
  readonly prepared?: boolean;
  /** For types only: what a row of the answer is. */
  readonly row?: Row;
}

/**
 * A statement from its SQL with named parameters, as psql knows them too: to try one, `\set` its names and paste it.
 * Text that is to become a timestamp or json is written `:name::text::timestamptz`: a plain cast would have postgres.js
 * turn it into a Date, which drops the microseconds.
 *
 * @param text uses every name of `Params`; columns of the answer are named as in `Row`. None of them is a float8, whose
 *   last digits a role's settings may cut.
 */
export function statement<Params extends Values<Params>, Row>(
  text: string,
): Statement<Params, Row> {
  const names: (keyof Params & string)[] = [];
  const numbered = text.replaceAll(INDENT, "").replace(NAMED, (_, name: keyof Params & string) => {
    if (!names.includes(name)) names.push(name);
    return `$${names.indexOf(name) + 1}`;
  });
  return { text: numbered, names };
}

/** The driver looks each text up by itself: what is for readers only makes it longer. */
const INDENT = /^\s+(?:--.*\n\s*)*/gm;

/** Neither the second colon of a cast nor one inside of a word, such as that of a time's format. */
const NAMED = /(?<![:\w]):([a-zA-Z]\w*)/g;

/** Statements that differ between hosts: each is built when it is first needed for a shape of the host's tables. */
export function perShape<Shape extends object, T>(build: (shape: Shape) => T): (shape: Shape) => T {
  const built = new Map<string, T>();
  const seen = new WeakMap<Shape, T>();
  return (shape) => {
    const known = seen.get(shape);
    if (known !== undefined) return known;
    const key = JSON.stringify(shape);
    const made = built.get(key) ?? build(shape);
    built.set(key, made);
    seen.set(shape, made);
    return made;
  };
}

/** One that is planned for the values of each call: a plan that suits any limit and any age may read whole tables. */
export function unprepared<Params extends Values<Params>, Row>(
  text: string,
): Statement<Params, Row> {
  return { ...statement<Params, Row>(text), prepared: false };
}

/** Marks a part of a statement that is left out where it does not apply. */
export function onlyIf(applies: boolean) {
  return (text: TemplateStringsArray, ...values: readonly (string | number)[]): string =>
    applies ? String.raw({ raw: text }, ...values) : "";
}
