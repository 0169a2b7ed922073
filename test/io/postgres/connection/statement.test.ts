import { describe, expect, it } from "vitest";
import { statement } from "../../../../src/io/postgres/connection/statement.ts";

describe("statement", () => {
  it("numbers its parameters in the order of their first use", () => {
    const { text, names } = statement<{ readonly a: string; readonly b: number }, object>(
      "SELECT :b::int, :a::text, :b::int",
    );
    expect(text).toBe("SELECT $1::int, $2::text, $1::int");
    expect(names).toEqual(["b", "a"]);
  });

  it("leaves casts and the colons inside of a word alone", () => {
    const text = "SELECT to_char(now()::timestamptz, 'HH24:MI:SS.US\"+00:00\"'), names[1:2]";
    expect(statement<object, object>(text)).toEqual({ text, names: [] });
  });
});
