import { describe, expect, it } from "vitest";
import { type CannotTell, transportFailed } from "../../../src/io/http/answer.ts";
import { KEY_MINT, type KeyAnswer, KeyCache, type Minted } from "../../../src/io/openhands/keys.ts";
import { calm } from "../http/world.ts";

const owner = { userId: "u", orgId: "o" };
const failure: CannotTell = transportFailed(KEY_MINT, "ECONNRESET");

/** A cache whose mintings wait until the test answers them, under a clock that the test moves. */
function setup() {
  const mintings: PromiseWithResolvers<Minted>[] = [];
  const time = { nowMs: 1_000 };
  const mint = () => {
    const minting = Promise.withResolvers<Minted>();
    mintings.push(minting);
    return minting.promise;
  };
  const cache = new KeyCache(mint, { monotonicMs: () => time.nowMs });
  const answer = (index: number, value: string | null) =>
    mintings[index]?.resolve(
      value === null
        ? { kind: "failed", failure, tookMs: 5 }
        : { kind: "minted", value, tookMs: 5 },
    );
  return { cache, mintings, answer, time };
}

async function firstKey({ cache, answer }: ReturnType<typeof setup>, value: string) {
  const asked = cache.get(owner, calm());
  answer(0, value);
  return keyOf(await asked);
}

function keyOf(answer: KeyAnswer) {
  if (answer.kind !== "key") throw new Error("expected a key");
  return answer.key;
}

describe("KeyCache", () => {
  it("mints once for all who ask at the same time, and keeps the key", async () => {
    const world = setup();
    const asked = [world.cache.get(owner, calm()), world.cache.get(owner, calm())];
    world.answer(0, "k1");
    const keys = (await Promise.all(asked)).map(keyOf);
    expect(keys[0]).toBe(keys[1]);
    expect(keyOf(await world.cache.get(owner, calm()))).toBe(keys[0]);
    expect(world.mintings).toHaveLength(1);
  });

  it("keeps one key per user and organisation, whatever the ids look like", async () => {
    const { cache, mintings } = setup();
    void cache.get({ userId: "a", orgId: "b,c" }, calm());
    void cache.get({ userId: "a,b", orgId: "c" }, calm());
    void cache.get({ userId: "a", orgId: "c" }, calm());
    expect(mintings).toHaveLength(3);
  });

  it("shares a failure with those who wait, and mints again for the next", async () => {
    const { cache, mintings, answer } = setup();
    const asked = [cache.get(owner, calm()), cache.get(owner, calm())];
    answer(0, null);
    for (const each of await Promise.all(asked)) expect(each).toMatchObject({ kind: "failed" });
    const next = cache.get(owner, calm());
    answer(1, "k1");
    expect(keyOf(await next).value).toBe("k1");
    expect(mintings).toHaveLength(2);
  });

  it("mints anew once for all whose key was refused", async () => {
    const world = setup();
    const refused = await firstKey(world, "k1");
    const renewals = [
      world.cache.renew(owner, refused, calm()),
      world.cache.renew(owner, refused, calm()),
    ];
    world.answer(1, "k2");
    const keys = (await Promise.all(renewals)).map(keyOf);
    expect(keys.map(({ value }) => value)).toEqual(["k2", "k2"]);
    expect(keyOf(await world.cache.renew(owner, refused, calm()))).toBe(keys[0]);
    expect(world.mintings).toHaveLength(2);
  });

  it("gives a refused key back when it was minted anew less than a minute ago", async () => {
    const world = setup();
    const first = await firstKey(world, "k1");
    const renewing = world.cache.renew(owner, first, calm());
    world.answer(1, "k1");
    const second = keyOf(await renewing);
    expect(second).not.toBe(first);
    world.time.nowMs += 59_999;
    expect(keyOf(await world.cache.renew(owner, second, calm()))).toBe(second);
    expect(world.mintings).toHaveLength(2);
  });

  it("mints anew again one minute after the last time", async () => {
    const world = setup();
    const renewing = world.cache.renew(owner, await firstKey(world, "k1"), calm());
    world.answer(1, "k1");
    const second = keyOf(await renewing);
    world.time.nowMs += 60_000;
    const again = world.cache.renew(owner, second, calm());
    world.answer(2, "k2");
    expect(keyOf(await again).value).toBe("k2");
  });

  it("keeps the old key when minting anew fails", async () => {
    const world = setup();
    const refused = await firstKey(world, "k1");
    const renewing = world.cache.renew(owner, refused, calm());
    world.answer(1, null);
    expect(await renewing).toEqual({ kind: "failed", failure, tookMs: 5 });
    expect(keyOf(await world.cache.get(owner, calm()))).toBe(refused);
  });

  it("drops a key that was not used for an hour, and keeps one that was", async () => {
    const world = setup();
    const first = await firstKey(world, "k1");
    world.time.nowMs += 3_599_999;
    expect(keyOf(await world.cache.get(owner, calm()))).toBe(first);
    world.time.nowMs += 3_600_000;
    const again = world.cache.get(owner, calm());
    world.answer(1, "k2");
    expect(keyOf(await again).value).toBe("k2");
    expect(world.mintings).toHaveLength(2);
  });

  it("says how long a minting took, and nothing for a key it had", async () => {
    const world = setup();
    const asked = world.cache.get(owner, calm());
    world.answer(0, "k1");
    expect(await asked).toMatchObject({ tookMs: 5 });
    expect(await world.cache.get(owner, calm())).toMatchObject({ tookMs: 0 });
  });
});
