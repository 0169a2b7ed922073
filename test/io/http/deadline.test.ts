import { getEventListeners } from "node:events";
import { describe, expect, it } from "vitest";
import { DeadlineError, withDeadline } from "../../../src/io/http/deadline.ts";
import { FakeClock } from "../../support/memory/fake-clock.ts";
import { calm } from "./world.ts";

function setup() {
  const clock = new FakeClock();
  const work = Promise.withResolvers<string>();
  const signals: AbortSignal[] = [];
  const begin = (signal = calm()) =>
    withDeadline(
      (own) => {
        signals.push(own);
        return work.promise;
      },
      1000,
      clock,
      signal,
    );
  return { clock, work, signals, begin };
}

describe("withDeadline", () => {
  it("waits for work that ends a millisecond before its time is up", async () => {
    const { clock, work, begin } = setup();
    const waiting = begin();
    await clock.advance(999);
    work.resolve("done");
    expect(await waiting).toBe("done");
  });

  it("rejects when the time is up, and aborts the work's signal", async () => {
    const { clock, signals, begin } = setup();
    const waiting = begin();
    const rejected = expect(waiting).rejects.toThrow(DeadlineError);
    await clock.advance(1000);
    await rejected;
    expect(signals[0]?.reason).toBeInstanceOf(DeadlineError);
  });

  it("rejects with the caller's reason at once, and aborts the work's signal with it", async () => {
    const { signals, begin } = setup();
    const controller = new AbortController();
    const waiting = begin(controller.signal);
    const reason = new Error("stopping");
    controller.abort(reason);
    await expect(waiting).rejects.toBe(reason);
    expect(signals[0]?.reason).toBe(reason);
  });

  it("begins nothing for a signal that is aborted already", async () => {
    const { signals, begin } = setup();
    const reason = new Error("stopping");
    await expect(begin(AbortSignal.abort(reason))).rejects.toBe(reason);
    expect(signals).toEqual([]);
  });

  it("leaves neither timer nor listener behind, and the signal of work that has ended alone", async () => {
    const { clock, work, signals, begin } = setup();
    const { signal } = new AbortController();
    const waiting = begin(signal);
    work.reject(new Error("broken"));
    await expect(waiting).rejects.toThrow("broken");
    expect(getEventListeners(signal, "abort")).toEqual([]);
    expect(clock.sleeping).toBe(0);
    await clock.advance(1000);
    expect(signals[0]?.aborted).toBe(false);
  });
});
