import { describe, expect, it } from "vitest";
import { SingleFlight } from "../../../src/io/openhands/single-flight.ts";
import { settle } from "../../support/memory/fake-clock.ts";
import { calm } from "../http/world.ts";

function setup() {
  const flights = new SingleFlight<string>();
  const begun: {
    readonly signal: AbortSignal;
    readonly end: (value: string) => void;
    readonly fail: (reason: Error) => void;
  }[] = [];
  const work = (signal: AbortSignal) => {
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    begun.push({ signal, end: resolve, fail: reject });
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
    return promise;
  };
  const run = (key: string, signal = calm()) => flights.run(key, work, signal);
  return { flights, begun, run };
}

describe("SingleFlight", () => {
  it("begins work once for all who want it at the same time", async () => {
    const { flights, begun, run } = setup();
    const waiting = [run("a"), run("a")];
    expect(flights.has("a")).toBe(true);
    begun[0]?.end("answer");
    expect(await Promise.all(waiting)).toEqual(["answer", "answer"]);
    expect(begun).toHaveLength(1);
  });

  it("begins other work for another key", () => {
    const { flights, begun, run } = setup();
    void run("a");
    expect(flights.has("b")).toBe(false);
    void run("b");
    expect(begun).toHaveLength(2);
  });

  it("remembers nothing: who asks after the end gets an answer of their own", async () => {
    const { flights, begun, run } = setup();
    const first = run("a").then(() => run("a"));
    begun[0]?.end("old");
    await settle();
    expect(begun).toHaveLength(2);
    begun[1]?.end("new");
    expect(await first).toBe("new");
    expect(flights.has("a")).toBe(false);
  });

  it("shares a failure, and begins anew for the next", async () => {
    const { begun, run } = setup();
    const failure = new Error("broken");
    const waiting = [run("a"), run("a")];
    begun[0]?.fail(failure);
    for (const each of waiting) await expect(each).rejects.toBe(failure);
    const next = run("a");
    begun[1]?.end("answer");
    expect(await next).toBe("answer");
  });

  it("goes on for the others when one is aborted, be it the first", async () => {
    const { begun, run } = setup();
    const controller = new AbortController();
    const first = run("a", controller.signal);
    const second = run("a");
    const reason = new Error("stopping");
    controller.abort(reason);
    await expect(first).rejects.toBe(reason);
    expect(begun[0]?.signal.aborted).toBe(false);
    begun[0]?.end("answer");
    expect(await second).toBe("answer");
  });

  it("is aborted when the last one has left, and begins anew for whoever comes then", async () => {
    const { flights, begun, run } = setup();
    const controllers = [new AbortController(), new AbortController()];
    const waiting = controllers.map(({ signal }) => run("a", signal));
    const reason = new Error("stopping");
    for (const controller of controllers) controller.abort(reason);
    for (const each of waiting) await expect(each).rejects.toBe(reason);
    expect(begun[0]?.signal.reason).toBe(reason);
    expect(flights.has("a")).toBe(false);
    const next = run("a");
    begun[1]?.end("answer");
    expect(await next).toBe("answer");
  });

  it("is not aborted when somebody joined right after the last one was aborted", async () => {
    const { begun, run } = setup();
    const controller = new AbortController();
    const first = run("a", controller.signal);
    const reason = new Error("stopping");
    controller.abort(reason);
    const second = run("a");
    await expect(first).rejects.toBe(reason);
    begun[0]?.end("answer");
    expect(await second).toBe("answer");
  });

  it("is not disturbed by work that was given up and ends late", async () => {
    const flights = new SingleFlight<string>();
    const works = [Promise.withResolvers<string>(), Promise.withResolvers<string>()];
    const run = (which: number, signal = calm()) =>
      flights.run("a", () => works[which]?.promise ?? Promise.reject(new Error("begun")), signal);
    const controller = new AbortController();
    const givenUp = run(0, controller.signal);
    controller.abort(new Error("stopping"));
    await expect(givenUp).rejects.toThrow("stopping");
    const second = run(1);
    works[0]?.resolve("late");
    await settle();
    const third = run(2);
    works[1]?.resolve("answer");
    expect(await Promise.all([second, third])).toEqual(["answer", "answer"]);
  });

  it("begins nothing for a signal that is aborted already", async () => {
    const { begun, run } = setup();
    const reason = new Error("stopping");
    await expect(run("a", AbortSignal.abort(reason))).rejects.toBe(reason);
    expect(begun).toEqual([]);
  });
});
