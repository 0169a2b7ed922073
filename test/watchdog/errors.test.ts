import { describe, expect, it, vi } from "vitest";
import {
  errorTypeOf,
  FencedError,
  isolated,
  LateWritesError,
  LeaseLostError,
  LeaseUnavailableError,
  StopRequestedError,
  StoreSchemaError,
  StoreUnavailableError,
  saidBy,
} from "../../src/watchdog/errors.ts";

describe("saidBy", () => {
  const cause = new LeaseUnavailableError("renewing failed: ECONNREFUSED");
  it.each([
    [new StoreUnavailableError("connecting failed"), "connecting failed"],
    [new LeaseUnavailableError("connecting failed"), "connecting failed"],
    [new FencedError("a newer epoch was handed out"), "a newer epoch was handed out"],
    [new LeaseLostError("not renewed in time"), "not renewed in time"],
    [
      new LeaseLostError("not renewed in time", { cause }),
      "not renewed in time: renewing failed: ECONNREFUSED",
    ],
  ])("repeats %s, with what it came from", (error, said) => {
    expect(saidBy(error)).toBe(said);
  });

  it.each([
    [new TypeError("tenant"), "an unexpected TypeError"],
    [Object.assign(new Error("tenant"), { name: "tenant text" }), "an unexpected error"],
    ["tenant", "an unexpected error"],
  ])("tells of %s no more than its kind", (error, said) => {
    expect(saidBy(error)).toBe(said);
  });
});

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

describe("errorTypeOf", () => {
  it("names the errors that are ours, and a kind of one of them as that one", () => {
    expect(errorTypeOf(new LeaseLostError("gone"))).toBe("LeaseLostError");
    expect(errorTypeOf(new StopRequestedError("SIGTERM"))).toBe("StopRequestedError");
    expect(errorTypeOf(new LateWritesError("late"))).toBe("StoreUnavailableError");
  });

  it("tells nothing of any other, whatever name it gives itself", () => {
    const named = Object.assign(new Error("text"), { name: "a tenant's text" });
    for (const error of [named, new TypeError("odd"), "text", undefined]) {
      expect(errorTypeOf(error)).toBe("_OTHER");
    }
  });
});
