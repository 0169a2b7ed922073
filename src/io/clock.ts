/** Time and chance as Node.js has them. */
import { randomUUID } from "node:crypto";
import type { Clock, Random } from "../watchdog/ports.ts";

// A longer timer fires at once.
const LONGEST_TIMER_MS = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => new Date(),
  monotonicMs: () => performance.now(),
  sleep,
  after,
};

export const systemRandom: Random = {
  token: () => randomUUID(),
  fraction: () => Math.random(),
};

/** Never ends early, however long it is; leaves neither timer nor listener behind. */
function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(signal.reason);
      return;
    }
    const cancel = after(ms, () => {
      signal.removeEventListener("abort", giveUp);
      resolve();
    });
    signal.addEventListener("abort", giveUp, { once: true });

    function giveUp(): void {
      cancel();
      reject(signal.reason);
    }
  });
}

function after(ms: number, fire: () => void): () => void {
  const untilMs = performance.now() + ms;
  let timer = arm(ms);
  return () => clearTimeout(timer);

  function arm(restMs: number) {
    return setTimeout(wake, Math.min(restMs, LONGEST_TIMER_MS));
  }

  function wake(): void {
    const restMs = untilMs - performance.now();
    if (restMs > 0) timer = arm(restMs);
    else fire();
  }
}
