import { describe, expect, it } from "vitest";
import { RecentMap } from "../../../src/io/openhands/keys.ts";
import { FakeClock } from "../../support/memory/fake-clock.ts";

const HOUR_MS = 3_600_000;

describe("RecentMap", () => {
  function setup() {
    const clock = new FakeClock();
    return { clock, map: new RecentMap<number>(clock) };
  }

  it("gives back what was put in last", () => {
    const { map } = setup();
    map.set("a", 1);
    map.set("a", 2);
    expect([map.get("a"), map.get("b")]).toEqual([2, undefined]);
    expect(map.size).toBe(1);
  });

  it("forgets what was not used for an hour, and nothing a millisecond earlier", async () => {
    const { clock, map } = setup();
    map.set("a", 1);
    map.set("b", 2);
    await clock.advance(HOUR_MS - 1);
    expect(map.get("a")).toBe(1);
    await clock.advance(1);
    expect(map.get("b")).toBeUndefined();
    expect(map.get("a")).toBe(1);
    expect(map.size).toBe(1);
  });

  it("holds 10,000 at most, and forgets what was not used for longest", () => {
    const { map } = setup();
    for (let key = 0; key < 10_000; key += 1) map.set(String(key), key);
    expect([map.size, map.get("0")]).toEqual([10_000, 0]);
    map.set("one more", 1);
    expect(map.size).toBe(10_000);
    expect([map.get("0"), map.get("1"), map.get("2")]).toEqual([0, undefined, 2]);
  });

  it("holds no more than what was used within the hour, however many there were", async () => {
    const { clock, map } = setup();
    for (let key = 0; key < 1_000; key += 1) {
      await clock.advance(HOUR_MS / 10);
      map.set(String(key), key);
      expect(map.get("0")).toBe(0);
    }
    expect(map.size).toBe(11);
  });
});
