import { describe, expect, it, vi } from "vitest";
import { LeaseUnavailableError } from "../../../src/watchdog/errors.ts";
import { settle } from "../../support/memory/fake-clock.ts";
import { INSTALLATION, leaseWorld } from "../../support/stands/lease-world.ts";

const NEVER = new AbortController().signal;
const UNKNOWN = new LeaseUnavailableError("no answer within 2000 ms");

describe("acquireTerm", () => {
  it("holds the lease under the holder's name and a token of this term", async () => {
    const { store, term } = leaseWorld();
    const first = await term();
    expect(first.value).toBe("host-1/4711/ab12/token-1");
    expect(store.holderOf(INSTALLATION)).toBe(first.value);
    await first.release();
    expect((await term()).value).toBe("host-1/4711/ab12/token-2");
  });

  it("tells a refused worker the holder without its token, and the time that is left", async () => {
    const { store, clock, calls, acquire, leftBehind } = leaseWorld();
    await store.acquire(INSTALLATION, "host-2/1/cd34/secret", 15_000);
    await clock.advance(1_000);
    const answer = await acquire();
    expect(answer).toEqual({ kind: "lease-held", holder: "host-2/1/cd34", expiresInMs: 14_000 });
    expect(calls.release).not.toHaveBeenCalled();
    expect(leftBehind()).toBe(0);
  });

  it("passes on a value without a token, no value, and a lease that never expires", async () => {
    const { calls, acquire } = leaseWorld();
    calls.acquire.mockResolvedValueOnce({ kind: "held", value: "by-hand", expiresInMs: null });
    expect(await acquire()).toEqual({ kind: "lease-held", holder: "by-hand", expiresInMs: null });
    calls.acquire.mockResolvedValueOnce({ kind: "held", value: null, expiresInMs: 0 });
    expect(await acquire()).toEqual({ kind: "lease-held", holder: null, expiresInMs: 0 });
  });

  it("counts the trust from before the command was sent", async () => {
    const { clock, term } = slowAcquire(3_000);
    const acquired = term();
    await clock.advance(3_000);
    expect((await acquired).trustedUntilMs).toBe(13_000);
  });

  it("hands out a lease whose answer came one millisecond before its trust ended", async () => {
    const { clock, term } = slowAcquire(12_999);
    const acquired = term();
    await clock.advance(12_999);
    (await acquired).check();
  });

  it("gives back a lease whose answer came when its trust ended, and reports unavailable", async () => {
    const { clock, store, acquire, leftBehind } = slowAcquire(13_000);
    const rejected = expect(acquire()).rejects.toThrow(
      new LeaseUnavailableError("acquiring the lease took 13000 ms, longer than it is trusted"),
    );
    await clock.advance(13_000);
    await rejected;
    expect(store.holderOf(INSTALLATION)).toBeNull();
    expect(leftBehind()).toBe(0);
  });

  it("takes back an acquire without an answer that took effect", async () => {
    const { store, calls, acquire, leftBehind } = leaseWorld();
    calls.acquire.mockImplementationOnce(async (...args) => {
      await store.acquire(...args);
      throw UNKNOWN;
    });
    await expect(acquire()).rejects.toBe(UNKNOWN);
    await settle();
    expect(calls.release.mock.calls).toEqual([[INSTALLATION, "host-1/4711/ab12/token-1"]]);
    expect(store.holderOf(INSTALLATION)).toBeNull();
    expect(leftBehind()).toBe(0);
  });

  it("tries to take it back every second until the store has answered", async () => {
    const { clock, calls, acquire, leftBehind, logged } = leaseWorld();
    calls.acquire.mockRejectedValueOnce(UNKNOWN);
    calls.release.mockRejectedValueOnce(UNKNOWN).mockRejectedValueOnce(UNKNOWN);
    await expect(acquire()).rejects.toBe(UNKNOWN);
    await clock.advance(999);
    expect(calls.release).toHaveBeenCalledTimes(1);
    await clock.advance(1);
    expect(calls.release).toHaveBeenCalledTimes(2);
    await clock.advance(60_000);
    expect(calls.release).toHaveBeenCalledTimes(3);
    expect(leftBehind()).toBe(0);
    expect(logged).toEqual(Array(2).fill("debug withdrawing an uncertain lease failed"));
  });

  it("stops taking it back when the value must have expired", async () => {
    const { clock, calls, acquire, leftBehind } = leaseWorld();
    calls.acquire.mockRejectedValueOnce(UNKNOWN);
    calls.release.mockRejectedValue(UNKNOWN);
    await expect(acquire()).rejects.toBe(UNKNOWN);
    await clock.advance(14_999);
    expect(calls.release).toHaveBeenCalledTimes(15);
    expect(leftBehind()).toBe(2);
    await clock.advance(1);
    expect(calls.release).toHaveBeenCalledTimes(15);
    expect(leftBehind()).toBe(0);
  });

  it("stops taking it back after one more attempt when the signal aborts", async () => {
    const { clock, calls, acquire, parent, leftBehind } = leaseWorld();
    calls.acquire.mockRejectedValueOnce(UNKNOWN);
    calls.release.mockRejectedValue(UNKNOWN);
    await expect(acquire()).rejects.toBe(UNKNOWN);
    await clock.advance(500);
    parent.abort(new Error("stopping"));
    await clock.advance(60_000);
    expect(calls.release).toHaveBeenCalledTimes(2);
    expect(leftBehind()).toBe(0);
  });

  it("takes it back after an unexpected error too, and passes the error on", async () => {
    const { calls, acquire } = leaseWorld();
    const bug = new TypeError("a bug");
    calls.acquire.mockRejectedValueOnce(bug);
    await expect(acquire()).rejects.toBe(bug);
    expect(calls.release).toHaveBeenCalledTimes(1);
  });

  it("takes nothing back after an attempt that had no effect, however often that happens", async () => {
    const { clock, calls, acquire, leftBehind } = leaseWorld();
    const refused = new LeaseUnavailableError("connect ECONNREFUSED", { withoutEffect: true });
    calls.acquire.mockRejectedValue(refused);
    for (let attempt = 0; attempt < 10; attempt += 1) {
      await expect(acquire()).rejects.toBe(refused);
      await clock.advance(1_000);
    }
    expect(calls.release).not.toHaveBeenCalled();
    expect(leftBehind()).toBe(0);
  });

  it("asks nobody when the signal is aborted already", async () => {
    const { calls, acquire, parent } = leaseWorld();
    const reason = new Error("stopping");
    parent.abort(reason);
    await expect(acquire()).rejects.toBe(reason);
    expect(calls.acquire).not.toHaveBeenCalled();
  });

  it("gives back what it got when the signal aborted meanwhile", async () => {
    const { clock, store, acquire, parent, leftBehind } = slowAcquire(100);
    const reason = new Error("stopping");
    const rejected = expect(acquire()).rejects.toBe(reason);
    parent.abort(reason);
    await clock.advance(100);
    await rejected;
    expect(store.holderOf(INSTALLATION)).toBeNull();
    expect(leftBehind()).toBe(0);
  });

  it("rejects with the abort reason, after one attempt to take back, when the acquire failed meanwhile", async () => {
    const { calls, acquire, parent, leftBehind } = leaseWorld();
    const reason = new Error("stopping");
    calls.acquire.mockImplementationOnce(async () => {
      parent.abort(reason);
      throw UNKNOWN;
    });
    const answer = Promise.withResolvers<boolean>();
    calls.release.mockReturnValue(answer.promise);
    const ended = vi.fn();
    const rejected = expect(acquire().finally(ended)).rejects.toBe(reason);
    await settle();
    expect(ended).not.toHaveBeenCalled();
    answer.reject(UNKNOWN);
    await rejected;
    expect(calls.release).toHaveBeenCalledTimes(1);
    expect(leftBehind()).toBe(0);
  });
});

/** The store carries an acquire out at once, and its answer takes `answerMs`. */
function slowAcquire(answerMs: number) {
  const world = leaseWorld();
  const { store, calls, clock } = world;
  calls.acquire.mockImplementationOnce(async (...args) => {
    const answer = await store.acquire(...args);
    await clock.sleep(answerMs, NEVER);
    return answer;
  });
  return world;
}
