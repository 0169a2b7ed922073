import { expect, it } from "vitest";
import { Session } from "../../../../src/io/postgres/connection/session.ts";
import { statement, unprepared } from "../../../../src/io/postgres/connection/statement.ts";
import { createDatabase } from "../../../services/postgres/database.ts";

const TEXT = "SELECT :value::int AS value";

interface Params {
  readonly value: number;
}

interface Prepared {
  readonly count: number;
}

const COUNT = unprepared<{ readonly like: string }, Prepared>(`
  SELECT count(*)::int AS count FROM pg_prepared_statements WHERE statement LIKE :like::text`);

it("prepares a statement once, and none that is to be planned for each call", async () => {
  await using database = await createDatabase();
  const session = new Session(database.connection, true);
  await session.open();
  const count = () => session.query(COUNT, { like: "%AS value" });
  const anew = unprepared<Params, Params>(TEXT);
  for (const value of [1, 2]) expect(await session.query(anew, { value })).toEqual([{ value }]);
  expect(await count()).toEqual([{ count: 0 }]);
  const once = statement<Params, Params>(TEXT);
  for (const value of [1, 2]) expect(await session.query(once, { value })).toEqual([{ value }]);
  expect(await count()).toEqual([{ count: 1 }]);
  session.destroy();
});
