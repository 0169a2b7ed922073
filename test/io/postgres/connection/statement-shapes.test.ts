import { describe, expect, it } from "vitest";
import { onlyIf, perShape } from "../../../../src/io/postgres/connection/statement.ts";

describe("perShape", () => {
  it("builds once for all shapes that are alike, and again for another one", () => {
    const built: boolean[] = [];
    const of = perShape(({ keepAlive }: { readonly keepAlive: boolean }) => {
      built.push(keepAlive);
      return { keepAlive };
    });
    expect(of({ keepAlive: true })).toBe(of({ keepAlive: true }));
    expect(of({ keepAlive: false })).toEqual({ keepAlive: false });
    expect(built).toEqual([true, false]);
  });
});

describe("onlyIf", () => {
  it("keeps what applies as it is written, and nothing of what does not", () => {
    expect(onlyIf(true)`AND x = ${1}`).toBe("AND x = 1");
    expect(onlyIf(false)`AND x = ${1}`).toBe("");
  });
});
