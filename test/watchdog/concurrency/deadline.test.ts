import { describe, expect, it, vi } from "vitest";
import { withDeadline } from "../../../src/watchdog/concurrency/deadline.ts";
import { FakeClock, settle } from "../../support/memory/fake-clock.ts";

const REASON = new Error("stopping");

describe("withDeadline", () => {
  it("passes on what the work comes to in time, and leaves no timer behind", async () => {
    const { clock, work, waiting } = setup();
    await clock.advance(999);
    work.resolve("answer");
    expect(await waiting).toEqual({ kind: "done", value: "answer" });
    expect(clock.sleeping).toBe(0);
  });

  it("passes on what the work is rejected with in time", async () => {
    const { clock, work, waiting } = setup();
    work.reject(REASON);
    await expect(waiting).rejects.toBe(REASON);
    expect(clock.sleeping).toBe(0);
  });

  it("passes on what the work throws instead of a promise", async () => {
    const { signal } = new AbortController();
    const broken = () => {
      throw REASON;
    };
    const clock = new FakeClock();
    await expect(withDeadline(clock, 1000, broken, signal)).rejects.toBe(REASON);
    expect(clock.sleeping).toBe(0);
  });

  it("is late when the time is up, aborts the work, and does not wait for it", async () => {
    const { clock, waiting, signals } = setup();
    await clock.advance(999);
    expect(signals[0]?.aborted).toBe(false);
    await clock.advance(1);
    expect(await waiting).toEqual({ kind: "late" });
    expect(signals[0]?.aborted).toBe(true);
  });

  it("ignores what the work comes to after that", async () => {
    const { clock, work, waiting } = setup();
    await clock.advance(1000);
    work.reject(REASON);
    expect(await waiting).toEqual({ kind: "late" });
  });

  it("ends with the caller's signal and its reason, and aborts the work", async () => {
    const { clock, caller, waiting, signals } = setup();
    const failed = expect(waiting).rejects.toBe(REASON);
    caller.abort(REASON);
    await failed;
    expect(signals[0]?.reason).toBe(REASON);
    expect(clock.sleeping).toBe(0);
  });

  it("begins nothing once the caller's signal has aborted", async () => {
    const work = vi.fn(async () => "answer");
    const waiting = withDeadline(new FakeClock(), 1000, work, AbortSignal.abort(REASON));
    await expect(waiting).rejects.toBe(REASON);
    await settle();
    expect(work).not.toHaveBeenCalled();
  });

  it("aborts the signal of work that is done: what it left behind ends with it", async () => {
    const { work, waiting, signals } = setup();
    work.resolve("answer");
    await waiting;
    expect(signals[0]?.aborted).toBe(true);
  });
});

/** Work that waits for the test, with a second to do it in. */
function setup() {
  const clock = new FakeClock();
  const caller = new AbortController();
  const work = Promise.withResolvers<string>();
  const signals: AbortSignal[] = [];
  const begin = (signal: AbortSignal) => {
    signals.push(signal);
    return work.promise;
  };
  return { clock, caller, work, signals, waiting: withDeadline(clock, 1000, begin, caller.signal) };
}
