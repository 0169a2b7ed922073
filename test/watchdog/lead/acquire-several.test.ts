import { describe, expect, it } from "vitest";
import { LeaseLostError } from "../../../src/watchdog/errors.ts";
import { type LeaseHeld, takeLeases } from "../../../src/watchdog/lead/acquire.ts";
import { settle } from "../../support/memory/fake-clock.ts";
import { INSTALLATION, leaseWorld, OPTIONS } from "../../support/stands/lease-world.ts";

const ALL = [0, 1, 2, 3];
const OTHER = "host-2/1/cd34/token";
const impatient = async () => false;

describe("takeLeases", () => {
  it("holds all leases until they are released", async () => {
    const { deps, parent, store } = leaseWorld();
    const answer = await takeLeases(deps, OPTIONS, ALL, impatient, parent.signal);
    if (answer.kind !== "acquired") throw new Error("they are free");
    expect(holders(store).every((value) => value?.startsWith(OPTIONS.holder))).toBe(true);
    expect(answer.lease.value).toBe(holders(store)[0]);
    await answer.lease.release();
    expect(holders(store)).toEqual([null, null, null, null]);
  });

  it("holds none when one of them is somebody else's, and says which", async () => {
    const { deps, parent, store, leftBehind } = leaseWorld();
    await store.ofShard(2).acquire(INSTALLATION, OTHER, 15_000);
    const answer = await takeLeases(deps, OPTIONS, ALL, impatient, parent.signal);
    expect(answer).toEqual({
      kind: "lease-held",
      holder: "host-2/1/cd34",
      expiresInMs: 15_000,
      shard: 2,
    });
    expect(holders(store)).toEqual([null, null, OTHER, null]);
    expect(leftBehind()).toBe(0);
  });

  it("keeps those that it has got while it waits for the next, and renews them", async () => {
    const { deps, parent, store, clock } = leaseWorld();
    await store.ofShard(2).acquire(INSTALLATION, OTHER, 15_000);
    const asked: LeaseHeld[] = [];
    const taking = takeLeases(deps, OPTIONS, ALL, waits, parent.signal);
    async function waits(held: LeaseHeld): Promise<boolean> {
      asked.push(held);
      await clock.sleep(50_000, parent.signal);
      return true;
    }
    await settle();
    for (let round = 0; round < 2; round += 1) {
      await clock.advance(45_000);
      const [first, second, third] = holders(store);
      for (const value of [first, second]) expect(value).toMatch(/^host-1\/4711\/ab12\//);
      if (round === 0) await store.ofShard(2).acquire(INSTALLATION, OTHER, 20_000);
      else expect(third).toBeNull();
    }
    await clock.advance(10_000);
    const answer = await taking;
    expect(answer.kind).toBe("acquired");
    expect(asked.map(({ shard }) => shard)).toEqual([2, 2]);
    if (answer.kind === "acquired") await answer.lease.release();
  });

  it("waits for the first one with nothing in its hands: that is up to the caller", async () => {
    const { deps, parent, store } = leaseWorld();
    await store.acquire(INSTALLATION, OTHER, 15_000);
    const patient = () => Promise.reject(new Error("nobody is to wait"));
    const answer = await takeLeases(deps, OPTIONS, ALL, patient, parent.signal);
    expect(answer).toMatchObject({ kind: "lease-held", shard: 0 });
  });

  it("is over when one of them is lost: nothing may be written any more", async () => {
    const { deps, parent, store, clock } = leaseWorld();
    const answer = await takeLeases(deps, OPTIONS, ALL, impatient, parent.signal);
    if (answer.kind !== "acquired") throw new Error("they are free");
    const { lease } = answer;
    expect(lease.check()).toBeUndefined();
    store.ofShard(3).forget(INSTALLATION);
    await clock.advance(5_000);
    expect(lease.signal.aborted).toBe(true);
    expect(() => lease.check()).toThrow(LeaseLostError);
    await lease.release();
    expect(holders(store)).toEqual([null, null, null, null]);
  });

  it("gives back what it has when it is aborted on the way", async () => {
    const { deps, parent, store } = leaseWorld();
    await store.ofShard(3).acquire(INSTALLATION, OTHER, 15_000);
    const stop = async () => {
      parent.abort(new Error("stopped"));
      return true;
    };
    const taking = takeLeases(deps, OPTIONS, ALL, stop, parent.signal);
    await expect(taking).rejects.toThrow("stopped");
    expect(holders(store)).toEqual([null, null, null, OTHER]);
  });
});

function holders(store: ReturnType<typeof leaseWorld>["store"]): readonly (string | null)[] {
  return ALL.map((shard) => store.ofShard(shard).holderOf(INSTALLATION));
}
