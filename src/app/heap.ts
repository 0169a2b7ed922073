import { getHeapSpaceStatistics, setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

const YOUNG_BYTES = 32 * 1024 * 1024;
const OLD_GROWTH_PERCENT = 60;
const LOOK_EVERY_MS = 20;

/**
 * Makes V8 collect garbage sooner. Thousands of short-lived answers make it grow its young generation to 128 MB and let
 * the old one run up, although hardly 30 MB are in use: a sidecar should not take 300 MB for that. Measured with 5,000
 * runs, 256 at once: 290 MB without, 170 MB with, for a tenth more CPU time.
 *
 * Set from inside, because flags of the command line would have to be repeated wherever the program is started.
 */
export function keepHeapSmall(): void {
  setFlagsFromString(`--heap-growing-percent=${OLD_GROWTH_PERCENT}`);
  // A young generation that may not grow from the start would be collected all the time.
  const looking = setInterval(() => {
    const young = getHeapSpaceStatistics().find(({ space_name }) => space_name === "new_space");
    if (young === undefined || young.space_size < YOUNG_BYTES) return;
    setFlagsFromString("--semi-space-growth-factor=1");
    clearInterval(looking);
  }, LOOK_EVERY_MS);
  looking.unref();
}

/**
 * Collects the young generation, for whoever knows that it is full of buffers. They lie outside the heap and count for
 * little when V8 decides by itself: sixteen servers that flood the worker took 280 MB without this, and take 170 with it.
 */
export function youngCollector(): () => void {
  setFlagsFromString("--expose-gc");
  const collect: NodeJS.GCFunction = runInNewContext("gc");
  return () => collect({ type: "minor" });
}
