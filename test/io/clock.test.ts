import { getEventListeners } from "node:events";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { systemClock, systemRandom } from "../../src/io/clock.ts";

const DAY_MS = 86_400_000;

describe("systemClock.sleep and after", () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });

  afterEach(() => {
    vi.useRealTimers();
  });

  it("sleeps until the time is over, and leaves nothing behind", async () => {
    const { signal, ended, leftBehind } = startSleep(1_000);
    await vi.advanceTimersByTimeAsync(999);
    expect(ended).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(1);
    expect(ended).toHaveBeenCalledExactlyOnceWith("slept");
    expect(signal.aborted).toBe(false);
    expect(leftBehind()).toBe(0);
  });

  it("rounds a fraction of a millisecond up", async () => {
    const { ended } = startSleep(10.25);
    await vi.advanceTimersByTimeAsync(10);
    expect(ended).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(1);
    expect(ended).toHaveBeenCalledTimes(1);
  });

  it("sleeps longer than one timer can count", async () => {
    const timers = vi.spyOn(globalThis, "setTimeout");
    const { ended, leftBehind } = startSleep(40 * DAY_MS);
    await vi.advanceTimersByTimeAsync(40 * DAY_MS - 1);
    expect(ended).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(1);
    expect(ended).toHaveBeenCalledExactlyOnceWith("slept");
    expect(timers).toHaveBeenCalledTimes(2);
    expect(leftBehind()).toBe(0);
  });

  it("rejects with the reason when it is interrupted, and leaves nothing behind", async () => {
    const { abort, ended, leftBehind } = startSleep(1_000);
    await vi.advanceTimersByTimeAsync(500);
    const reason = new Error("stopping");
    abort(reason);
    await vi.advanceTimersByTimeAsync(0);
    expect(ended).toHaveBeenCalledExactlyOnceWith(reason);
    expect(leftBehind()).toBe(0);
  });

  it("rejects at once when the signal is aborted already", async () => {
    const reason = new Error("stopping");
    await expect(systemClock.sleep(1_000, AbortSignal.abort(reason))).rejects.toBe(reason);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("fires once when the time is over, not before", async () => {
    const fire = vi.fn();
    systemClock.after(40 * DAY_MS, fire);
    await vi.advanceTimersByTimeAsync(40 * DAY_MS - 1);
    expect(fire).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(40 * DAY_MS);
    expect(fire).toHaveBeenCalledExactlyOnceWith();
    expect(vi.getTimerCount()).toBe(0);
  });

  it("never fires when it was called off, also after its first timer", async () => {
    const fire = vi.fn();
    const callOff = systemClock.after(40 * DAY_MS, fire);
    await vi.advanceTimersByTimeAsync(39 * DAY_MS);
    callOff();
    expect(vi.getTimerCount()).toBe(0);
    await vi.advanceTimersByTimeAsync(2 * DAY_MS);
    expect(fire).not.toHaveBeenCalled();
  });
});

describe("systemClock", () => {
  it("has a monotonic time that does not follow the wall clock", () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    try {
      const before = systemClock.monotonicMs();
      vi.setSystemTime(0);
      expect(systemClock.now()).toEqual(new Date(0));
      expect(systemClock.monotonicMs()).toBeGreaterThanOrEqual(before);
    } finally {
      vi.useRealTimers();
    }
  });
});

describe("systemRandom", () => {
  it("gives a new token each time, without a slash", () => {
    const tokens = Array.from({ length: 100 }, () => systemRandom.token());
    expect(new Set(tokens).size).toBe(100);
    for (const token of tokens) expect(token).toMatch(/^[\w-]{16,}$/);
  });

  it("gives fractions from 0 up to but not including 1", () => {
    for (let draw = 0; draw < 100; draw += 1) {
      const fraction = systemRandom.fraction();
      expect(fraction).toBeGreaterThanOrEqual(0);
      expect(fraction).toBeLessThan(1);
    }
  });
});

function startSleep(ms: number) {
  const controller = new AbortController();
  const { signal } = controller;
  const ended = vi.fn();
  systemClock.sleep(ms, signal).then(() => ended("slept"), ended);
  return {
    signal,
    ended,
    abort: (reason: Error) => controller.abort(reason),
    leftBehind: () => vi.getTimerCount() + getEventListeners(signal, "abort").length,
  };
}
