import { describe, expect, it, vi } from "vitest";
import { isolated, StoreSchemaError, StoreUnavailableError } from "../../src/watchdog/errors.ts";

describe("isolated", () => {
  const own: readonly (readonly [string, Error])[] = [
    ["an error of its own", new TypeError("odd")],
    ["a statement that was held up", new StoreUnavailableError("slow", { late: true })],
  ];
  it.each(own)("keeps %s from the others", async (_, error) => {
    const onTrouble = vi.fn();
    await isolated(() => Promise.reject(error), onTrouble, new AbortController().signal);
    expect(onTrouble.mock.calls).toEqual([[error]]);
  });

  const everybodys: readonly (readonly [string, Error])[] = [
    ["a database that is away", new StoreUnavailableError("away")],
    ["a table that is missing", new StoreSchemaError("missing")],
  ];
  it.each(everybodys)("passes %s on", async (_, error) => {
    const onTrouble = vi.fn();
    const work = isolated(() => Promise.reject(error), onTrouble, new AbortController().signal);
    await expect(work).rejects.toBe(error);
    expect(onTrouble).not.toHaveBeenCalled();
  });

  it("passes everything on once it is aborted", async () => {
    const error = new TypeError("odd");
    const work = isolated(() => Promise.reject(error), vi.fn(), AbortSignal.abort());
    await expect(work).rejects.toBe(error);
  });
});
