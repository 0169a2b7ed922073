import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  fairShare,
  MOST_SHARDS,
  noteOf,
  otherNoteText,
  readNote,
  rotated,
  shareOf,
} from "../../../src/rules/fleet/shard.ts";

describe("what a fleet notes", () => {
  it("is the kind of lease alone where the runs are not divided, as it always was", () => {
    expect(noteOf({ leaseKind: "redis", shards: 1 })).toBe("redis");
    expect(noteOf({ leaseKind: "postgres", shards: 4 })).toBe("postgres/4");
  });

  it("is read as it was written, whatever the number", () => {
    for (const leaseKind of ["redis", "postgres"] as const) {
      for (let shards = 1; shards <= MOST_SHARDS; shards += 1) {
        expect(readNote(noteOf({ leaseKind, shards }))).toEqual({ leaseKind, shards });
      }
    }
  });

  it.each([null, "", "file", "redis/", "redis/four", "redis/4/4", "redis/1000"])(
    "is nothing where no version wrote it: %s",
    (text) => expect(readNote(text)).toBeNull(),
  );

  it("is told with what differs", () => {
    const own = { leaseKind: "redis", shards: 4 };
    expect(otherNoteText(own, own)).toBeNull();
    expect(otherNoteText({ ...own, leaseKind: "postgres" }, own)).toBe(
      "other workers of this database use the postgres lease: give all of them the same REDIS_URL, or none",
    );
    expect(otherNoteText({ ...own, shards: 2 }, own)).toBe(
      "other workers of this database divide the runs into 2 shards, this one into 4: give all of them the same WATCHDOG_SHARDS",
    );
    expect(otherNoteText({ leaseKind: "postgres", shards: 2 }, own)).toMatch(/REDIS_URL.*SHARDS/);
  });
});

describe("a worker's share", () => {
  it.each([
    [4, 1, 4],
    [4, 2, 2],
    [4, 3, 2],
    [4, 4, 1],
    [4, 9, 1],
    [64, 3, 22],
    [4, 0, 4],
  ])("of %i shards among %i workers is %i", (count, workers, share) => {
    expect(fairShare(count, workers)).toBe(share);
  });

  it.each([
    [8, 2, 4, 4],
    [8, 4, 4, 8],
    [8, 1, 64, 1],
    [8, 0, 4, 1],
    [9, 1, 2, 4],
  ])("of %i calls with %i of %i shards is %i", (limit, held, count, share) => {
    expect(shareOf(limit, held, count)).toBe(share);
  });

  it("adds up to all shards, and in calls to no more than there are but for one each", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: MOST_SHARDS }),
        fc.integer({ min: 1, max: 20 }),
        fc.integer({ min: 1, max: 256 }),
        (count, workers, limit) => {
          expect(fairShare(count, workers) * workers).toBeGreaterThanOrEqual(count);
          const held = Array.from({ length: workers }, (_, index) =>
            Math.max(
              0,
              Math.min(fairShare(count, workers), count - index * fairShare(count, workers)),
            ),
          );
          const calls = held.map((each) => shareOf(limit, each, count));
          const most = Math.max(limit, 0) + workers;
          expect(calls.reduce((sum, each) => sum + each, 0)).toBeLessThanOrEqual(most);
        },
      ),
    );
  });

  it("begins somewhere else for other workers, and leaves no shard out", () => {
    const starts = new Set<number | undefined>();
    for (let number = 0; number < 50; number += 1) {
      const order = rotated(16, `worker-${number}/1/ab12`);
      expect(order.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 16 }, (_, n) => n));
      starts.add(order[0]);
    }
    expect(starts.size).toBeGreaterThan(8);
  });
});
