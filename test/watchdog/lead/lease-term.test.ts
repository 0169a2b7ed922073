import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { LeaseLostError, LeaseUnavailableError } from "../../../src/watchdog/errors.ts";
import type { LeaseTerm } from "../../../src/watchdog/lead/lease-term.ts";
import { settle } from "../../support/memory/fake-clock.ts";
import { INSTALLATION, leaseWorld } from "../../support/stands/lease-world.ts";

const NEVER = new AbortController().signal;
const UNKNOWN = new LeaseUnavailableError("no answer within 2000 ms");
const NOT_RENEWED = new LeaseLostError("the lease was not renewed in time");
const NO_PROGRESS = new LeaseLostError("no progress for 60 s");

describe("LeaseTerm renewing", () => {
  it("renews every 5 s, for the whole time to live", async () => {
    const { clock, calls, term } = leaseWorld();
    const { value } = await term();
    await clock.advance(4_999);
    expect(calls.renew).not.toHaveBeenCalled();
    await clock.advance(1);
    expect(calls.renew.mock.calls).toEqual([[INSTALLATION, value, 15_000]]);
    await clock.advance(4_999);
    expect(calls.renew).toHaveBeenCalledTimes(1);
    await clock.advance(1);
    expect(calls.renew).toHaveBeenCalledTimes(2);
  });

  it("trusts the lease from when the last confirmed renewal was sent", async () => {
    const { clock, term } = leaseWorld();
    const held = await term();
    expect(held.trustedUntilMs).toBe(13_000);
    await clock.advance(5_000);
    expect(held.trustedUntilMs).toBe(18_000);
  });

  it("counts a slow successful renewal from when it was sent, and sends the overdue next one at once", async () => {
    const { clock, calls, term } = leaseWorld();
    const held = await term();
    slowRenewal(7_000);
    await clock.advance(11_999);
    expect(held.trustedUntilMs).toBe(13_000);
    expect(calls.renew).toHaveBeenCalledTimes(1);
    const sentAt: number[] = [];
    calls.renew.mockImplementation(async () => {
      sentAt.push(clock.monotonicMs());
      throw UNKNOWN;
    });
    await clock.advance(1);
    expect(held.trustedUntilMs).toBe(18_000);
    expect(sentAt).toEqual([12_000]);

    function slowRenewal(answerMs: number): void {
      calls.renew.mockImplementationOnce(async () => {
        await clock.sleep(answerMs, NEVER);
        return true;
      });
    }
  });

  it("sends no second renewal while one is on its way", async () => {
    const { clock, calls, term } = leaseWorld();
    const held = await term();
    await clock.advance(54_999);
    calls.renew.mockClear().mockImplementation(() => new Promise(() => undefined));
    await clock.advance(1_000);
    // Moves the deadline for which the term was going to wake up.
    held.progress();
    await clock.advance(7_000);
    expect(calls.renew).toHaveBeenCalledTimes(1);
    expect(held.signal.aborted).toBe(false);
  });

  it("tries a failed renewal again every second, until one succeeds", async () => {
    const { clock, calls, term, logged } = leaseWorld();
    const held = await term();
    calls.renew.mockRejectedValueOnce(UNKNOWN).mockRejectedValueOnce(UNKNOWN);
    await clock.advance(5_999);
    expect(calls.renew).toHaveBeenCalledTimes(1);
    await clock.advance(1_001);
    expect(calls.renew).toHaveBeenCalledTimes(3);
    expect(held.trustedUntilMs).toBe(20_000);
    await clock.advance(4_999);
    expect(calls.renew).toHaveBeenCalledTimes(3);
    await clock.advance(1);
    expect(calls.renew).toHaveBeenCalledTimes(4);
    const failed = "renewing the lease failed";
    expect(logged).toEqual([`warn ${failed}`, `debug ${failed}`]);
    calls.renew.mockRejectedValueOnce(UNKNOWN);
    await clock.advance(5_000);
    expect(logged.at(-1)).toBe(`warn ${failed}`);
  });

  it("tries again at once when the failure itself took longer than a second", async () => {
    const { clock, calls, term } = leaseWorld();
    await term();
    calls.renew.mockImplementationOnce(async () => {
      await clock.sleep(2_000, NEVER);
      throw UNKNOWN;
    });
    await clock.advance(6_999);
    expect(calls.renew).toHaveBeenCalledTimes(1);
    await clock.advance(1);
    expect(calls.renew).toHaveBeenCalledTimes(2);
  });

  it("does not care about steps of the wall clock", async () => {
    const { clock, calls, term } = leaseWorld();
    const held = await term();
    clock.stepWall(3_600_000);
    await clock.advance(4_999);
    clock.stepWall(-7_200_000);
    expect(calls.renew).not.toHaveBeenCalled();
    await clock.advance(1);
    expect(calls.renew).toHaveBeenCalledTimes(1);
    expect(held.trustedUntilMs).toBe(18_000);
  });
});

describe("LeaseTerm losing the lease", () => {
  it("is held one millisecond before the trust ends, with every renewal failing", async () => {
    const { clock, calls, term } = leaseWorld();
    const held = await term();
    calls.renew.mockRejectedValue(UNKNOWN);
    await clock.advance(12_999);
    held.check();
    expect(held.signal.aborted).toBe(false);
    expect(calls.renew).toHaveBeenCalledTimes(8);
  });

  it("ends when the trust ends, with every renewal failing, and sends nothing more", async () => {
    const { clock, calls, term, leftBehind } = leaseWorld();
    const held = await term();
    calls.renew.mockRejectedValue(UNKNOWN);
    await clock.advance(13_000);
    expect(held.signal.reason).toEqual(NOT_RENEWED);
    expect(() => held.check()).toThrow(NOT_RENEWED);
    await clock.advance(60_000);
    expect(calls.renew).toHaveBeenCalledTimes(8);
    expect(leftBehind()).toBe(0);
  });

  it("says with its end why the last renewal failed", async () => {
    const { clock, calls, term } = leaseWorld();
    const held = await term();
    const first = new LeaseUnavailableError("ECONNRESET");
    calls.renew.mockRejectedValueOnce(first).mockRejectedValue(UNKNOWN);
    await clock.advance(13_000);
    expect(held.signal.reason).toMatchObject({ name: "LeaseLostError", cause: UNKNOWN });
  });

  it("does not blame a failure after which a renewal succeeded", async () => {
    const { clock, calls, term } = leaseWorld();
    const held = await term();
    calls.renew.mockRejectedValueOnce(UNKNOWN);
    await clock.advance(6_000);
    calls.renew.mockImplementation(() => new Promise(() => undefined));
    await clock.advance(13_000);
    expect(held.signal.reason).toEqual(NOT_RENEWED);
    expect(held.signal.reason).not.toHaveProperty("cause");
  });

  it("keeps the lease when the answer arrives one millisecond before the trust ends", async () => {
    const { clock, held, answer } = await renewalOnItsWay();
    await clock.advance(7_999);
    answer.resolve(true);
    await settle();
    expect(held.trustedUntilMs).toBe(18_000);
    held.check();
  });

  it("is not revived by an answer that arrives after the trust has ended", async () => {
    const { clock, held, answer } = await renewalOnItsWay();
    await clock.advance(8_000);
    expect(held.signal.reason).toEqual(NOT_RENEWED);
    answer.resolve(true);
    await settle();
    expect(() => held.check()).toThrow(NOT_RENEWED);
    expect(held.trustedUntilMs).toBe(13_000);
  });

  it("is not revived by an answer that waited while the event loop was blocked", async () => {
    const { clock, held, answer } = await renewalOnItsWay();
    clock.block(8_000);
    answer.resolve(true);
    await settle();
    expect(held.signal.reason).toEqual(NOT_RENEWED);
    expect(held.trustedUntilMs).toBe(13_000);
  });

  it("outlives a renewal that fails after the term has ended", async () => {
    const { clock, held, answer, logged } = await renewalOnItsWay();
    await clock.advance(8_000);
    answer.reject(UNKNOWN);
    await settle();
    expect(held.signal.reason).toEqual(NOT_RENEWED);
    expect(logged).toEqual(["warn lease lost"]);
  });

  it("ends at once when the store says that the lease is not ours", async () => {
    const { clock, store, calls, term, leftBehind } = leaseWorld();
    const held = await term();
    store.forget(INSTALLATION);
    await store.acquire(INSTALLATION, "host-2/1/cd34/token", 15_000);
    await clock.advance(5_000);
    expect(() => held.check()).toThrow(LeaseLostError);
    await held.release();
    expect(calls.release).not.toHaveBeenCalled();
    expect(store.holderOf(INSTALLATION)).toBe("host-2/1/cd34/token");
    expect(leftBehind()).toBe(0);
  });

  it("ends with the cause when renewing fails for an unexpected reason", async () => {
    const { clock, calls, term, leftBehind } = leaseWorld();
    const held = await term();
    const bug = new TypeError("a bug");
    calls.renew.mockRejectedValueOnce(bug);
    await clock.advance(5_000);
    expect(held.signal.reason).toBeInstanceOf(LeaseLostError);
    expect(held.signal.reason.cause).toBe(bug);
    expect(leftBehind()).toBe(0);
  });

  it("has ended before anybody else can acquire the lease", async () => {
    const { clock, store, calls, term } = leaseWorld();
    const held = await term();
    calls.renew.mockRejectedValue(UNKNOWN);
    for (let kind = "held"; kind === "held"; ) {
      await clock.advance(100);
      kind = (await store.acquire(INSTALLATION, "host-2/1/cd34/token", 15_000)).kind;
    }
    expect(held.signal.aborted).toBe(true);
  });

  it("is logged once, with its reason", async () => {
    const { clock, store, term, logged } = leaseWorld();
    const held = await term();
    store.forget(INSTALLATION);
    await clock.advance(20_000);
    expect(() => held.check()).toThrow(LeaseLostError);
    expect(logged).toEqual(["warn lease lost"]);
  });
});

describe("LeaseTerm progress", () => {
  it("keeps a term going one millisecond short of 60 s without progress", async () => {
    const { clock, term } = leaseWorld();
    const held = await term();
    await clock.advance(59_999);
    held.check();
  });

  it("ends a term after 60 s without progress, and renews it no more", async () => {
    const { clock, calls, term, leftBehind } = leaseWorld();
    const held = await term();
    await clock.advance(60_000);
    expect(held.signal.reason).toEqual(NO_PROGRESS);
    expect(() => held.check()).toThrow(NO_PROGRESS);
    const renewals = calls.renew.mock.calls.length;
    await clock.advance(60_000);
    expect(calls.renew).toHaveBeenCalledTimes(renewals);
    expect(leftBehind()).toBe(0);
  });

  it("counts from the last progress", async () => {
    const { clock, term } = leaseWorld();
    const held = await term();
    await clock.advance(59_999);
    held.progress();
    await clock.advance(59_999);
    held.check();
    await clock.advance(1);
    expect(held.signal.reason).toEqual(NO_PROGRESS);
  });

  it("is missed even while a renewal is on its way", async () => {
    const { clock, calls, term } = leaseWorld();
    const held = await term();
    await clock.advance(54_999);
    calls.renew.mockImplementation(() => new Promise(() => undefined));
    await clock.advance(5_000);
    expect(held.signal.aborted).toBe(false);
    await clock.advance(1);
    expect(held.signal.reason).toEqual(NO_PROGRESS);
  });

  it("leaves the lease to its owner's release, which gives it back", async () => {
    const { clock, store, term } = leaseWorld();
    const held = await term();
    await clock.advance(60_000);
    expect(store.holderOf(INSTALLATION)).toBe(held.value);
    await held.release();
    expect(store.holderOf(INSTALLATION)).toBeNull();
  });
});

describe("LeaseTerm.check", () => {
  it("passes one millisecond before the trust ends, with a blocked event loop", async () => {
    const { clock, term } = leaseWorld();
    const held = await term();
    clock.block(12_999);
    held.check();
  });

  it("throws when the trust has ended although no timer could fire, and ends the term", async () => {
    const { clock, store, term } = leaseWorld();
    const held = await term();
    clock.block(13_000);
    expect(() => held.check()).toThrow(NOT_RENEWED);
    expect(held.signal.reason).toEqual(NOT_RENEWED);
    // The renewal that is overdue now would have been granted, and must not be sent.
    expect(store.holderOf(INSTALLATION)).toBe(held.value);
    await clock.advance(0);
    expect(() => held.check()).toThrow(NOT_RENEWED);
  });

  it("throws the parent's reason when a renewal failed in the same moment", async () => {
    const { held, answer, parent, logged } = await renewalOnItsWay();
    const reason = new Error("stopping");
    answer.reject(UNKNOWN);
    parent.abort(reason);
    await settle();
    expect(() => held.check()).toThrow(reason);
    expect(logged).toEqual([]);
  });

  it("throws the parent's reason when the parent has aborted", async () => {
    const { clock, calls, term, parent, logged, leftBehind } = leaseWorld();
    const held = await term();
    const reason = new Error("stopping");
    parent.abort(reason);
    expect(held.signal.reason).toBe(reason);
    expect(() => held.check()).toThrow(reason);
    await clock.advance(60_000);
    expect(calls.renew).not.toHaveBeenCalled();
    expect(held.signal.reason).toBe(reason);
    expect(logged).toEqual([]);
    expect(leftBehind()).toBe(0);
  });
});

describe("LeaseTerm.release", () => {
  it("gives the lease back with one command, however often it is called", async () => {
    const { clock, store, calls, term, leftBehind, logged } = leaseWorld();
    const held = await term();
    await Promise.all([held.release(), held.release()]);
    await held.release();
    expect(calls.release.mock.calls).toEqual([[INSTALLATION, held.value]]);
    expect(store.holderOf(INSTALLATION)).toBeNull();
    await clock.advance(60_000);
    expect(calls.renew).not.toHaveBeenCalled();
    expect(logged).toEqual([]);
    expect(leftBehind()).toBe(0);
  });

  it("leaves nothing behind right after a renewal", async () => {
    const { held, answer, leftBehind } = await renewalOnItsWay();
    answer.resolve(true);
    await settle();
    await held.release();
    expect(leftBehind()).toBe(0);
  });

  it("ends the term before the command is sent", async () => {
    const { calls, term } = leaseWorld();
    const held = await term();
    calls.release.mockImplementationOnce(async () => {
      expect(() => held.check()).toThrow(new LeaseLostError("the lease was released"));
      return true;
    });
    await held.release();
    expect(calls.release).toHaveBeenCalledTimes(1);
  });

  it("tries once when the trust has ended, because the store may still hold the lease for us", async () => {
    const { clock, store, calls, term } = leaseWorld();
    const held = await term();
    calls.renew.mockRejectedValue(UNKNOWN);
    await clock.advance(13_000);
    expect(store.holderOf(INSTALLATION)).toBe(held.value);
    await held.release();
    expect(store.holderOf(INSTALLATION)).toBeNull();
  });

  it("logs a failure and does not try again", async () => {
    const { clock, calls, term, logged, leftBehind } = leaseWorld();
    const held = await term();
    calls.release.mockRejectedValue(UNKNOWN);
    await held.release();
    await clock.advance(60_000);
    expect(calls.release).toHaveBeenCalledTimes(1);
    expect(logged).toEqual(["warn releasing the lease failed"]);
    expect(leftBehind()).toBe(0);
  });

  it("does not wait for a renewal on its way, and survives its late failure", async () => {
    const { held, calls, answer, leftBehind } = await renewalOnItsWay();
    await held.release();
    expect(calls.release).toHaveBeenCalledTimes(1);
    answer.reject(UNKNOWN);
    await settle();
    expect(leftBehind()).toBe(0);
  });

  for (const order of permutations(["abort", "release", "lose", "block"])) {
    it(`leaves nothing behind in the order ${order.join(", ")}`, async () => {
      const { clock, store, calls, term, parent, leftBehind } = leaseWorld();
      const held = await term();
      const releases: Promise<void>[] = [];
      const steps: Record<string, () => void> = {
        abort: () => parent.abort(new Error("stopping")),
        release: () => releases.push(held.release()),
        lose: () => store.forget(INSTALLATION),
        block: () => clock.block(20_000),
      };
      for (const step of order) {
        steps[step]?.();
        await clock.advance(2_500);
      }
      await Promise.all([...releases, held.release()]);
      expect(() => held.check()).toThrow();
      expect(calls.release.mock.calls.length).toBeLessThanOrEqual(1);
      expect(leftBehind()).toBe(0);
    });
  }
});

describe("LeaseTerm trust", () => {
  const renewal = fc.record({
    toStoreMs: fc.integer({ min: 0, max: 9_000 }),
    toUsMs: fc.integer({ min: 0, max: 9_000 }),
    reached: fc.boolean(),
    answered: fc.boolean(),
  });

  it("never outlasts the store's, whatever happens to renewals on their way", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(renewal, { minLength: 1, maxLength: 30 }), async (outcomes) => {
        const { clock, store, calls, term } = leaseWorld();
        const held = await term();
        calls.renew.mockImplementation(async (...args) => {
          const outcome = outcomes[calls.renew.mock.calls.length % outcomes.length];
          if (outcome === undefined) throw UNKNOWN;
          await clock.sleep(outcome.toStoreMs, NEVER);
          const ours = outcome.reached ? await store.renew(...args) : false;
          await clock.sleep(outcome.toUsMs, NEVER);
          if (!outcome.reached || !outcome.answered) throw UNKNOWN;
          return ours;
        });
        for (let step = 0; step < 100 && !held.signal.aborted; step += 1) {
          await clock.advance(500);
          if (trusts(held)) expect(store.holderOf(INSTALLATION)).toBe(held.value);
        }
      }),
      { numRuns: 60 },
    );
  });
});

/** A term at 5 s whose first renewal is answered by the test; later ones fail. */
async function renewalOnItsWay() {
  const world = leaseWorld();
  const held = await world.term();
  const answer = Promise.withResolvers<boolean>();
  world.calls.renew.mockRejectedValue(UNKNOWN).mockImplementationOnce(() => answer.promise);
  await world.clock.advance(5_000);
  return { ...world, held, answer };
}

function trusts(term: LeaseTerm): boolean {
  try {
    term.check();
    return true;
  } catch {
    return false;
  }
}

function permutations(items: readonly string[]): readonly (readonly string[])[] {
  if (items.length < 2) return [items];
  return items.flatMap((first) =>
    permutations(items.filter((item) => item !== first)).map((rest) => [first, ...rest]),
  );
}
