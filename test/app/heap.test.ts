import { GCProfiler } from "node:v8";
import { describe, expect, it } from "vitest";
import { heapCollectors } from "../../src/app/heap.ts";

const FULL = "MarkSweepCompact";

describe("heapCollectors", () => {
  it("collects the whole heap at the first rest, and then when it has grown", () => {
    const { onRest } = heapCollectors();
    expect(collectionsOf(onRest)).toContain(FULL);
    expect(collectionsOf(onRest)).toEqual([]);
    const grown = Array.from({ length: 500 }, () => new Array(100_000).fill(0.5));
    expect(collectionsOf(onRest)).toContain(FULL);
    expect(grown).toHaveLength(500);
  });

  it("collects the young generation alone after many answers", () => {
    const { onBulk } = heapCollectors();
    const collections = collectionsOf(onBulk);
    expect(collections).toContain("Scavenge");
    expect(collections).not.toContain(FULL);
  });
});

/** The kinds of garbage collection that the work leads to. */
function collectionsOf(work: () => void): readonly string[] {
  const profiler = new GCProfiler();
  profiler.start();
  work();
  return profiler.stop().statistics.map(({ gcType }) => gcType);
}
