import { describe, expect, it } from "vitest";
import { json } from "../fake-host/model.ts";
import { onceAnswered, onceRefused } from "../support/replay/checks.ts";
import { dies, ends, type Job, type JobSpec, job } from "../support/replay/jobs.ts";
import { API_CONCURRENCY, type Replay, type Swept, startReplay } from "../support/replay/replay.ts";
import { MINUTE_MS, REPLAY_TIMEOUT_MS } from "../support/replay/time.ts";
import { isApiCall } from "../support/replay/traffic.ts";

const BEGINS = 4;
const LAST = 43;

interface Storm {
  readonly name: string;
  readonly allowed: number;
  readonly everyMs: number;
  readonly saysWhen: boolean;
  /** Of one kind of question in one window: each has a circuit of its own. */
  readonly mostRefused: number;
  readonly judgedBy: (job: Job) => number;
  /** Why runs are left out in most of the sweeps; `null` where waiting within the sweep may do. */
  readonly because: string | null;
}

const storms: readonly Storm[] = [
  {
    name: "all but 20 calls a minute, and says for how long: nothing more is asked until then",
    allowed: 20,
    everyMs: MINUTE_MS,
    saysWhen: true,
    mostRefused: API_CONCURRENCY,
    judgedBy: onceRefused,
    because: "the backend is not asked: sandbox_api asked for a pause",
  },
  {
    name: "all but 20 calls a minute, and does not say for how long: a few refusals end the questions",
    allowed: 20,
    everyMs: MINUTE_MS,
    saysWhen: false,
    mostRefused: 2 * API_CONCURRENCY,
    judgedBy: onceRefused,
    because: "the backend is not asked: sandbox_api keeps failing, its circuit breaker is open",
  },
  {
    name: "all but 10 calls a second, and says so: what is asked waits for the next second",
    allowed: 10,
    everyMs: 1000,
    saysWhen: true,
    mostRefused: API_CONCURRENCY,
    // So many are refused in each sweep that some are refused again: only the end of it all is sure to help them.
    judgedBy: (one) => Math.max(onceRefused(one), onceAnswered(LAST + 0.5)(one)),
    because: null,
  },
];

describe("an API that for 40 minutes answers 429 to", { timeout: REPLAY_TIMEOUT_MS }, () => {
  for (const storm of storms) {
    it(storm.name, async () => {
      await using replay = await startReplay({ judgedBy: storm.judgedBy });
      // Long enough for calls to meet each other.
      replay.host.latencyMs = 5;
      await replay.add(Array.from({ length: 70 }, (_, index) => liveJob(1, index)));
      await replay.add([2, 5, 9, 14, 20].map((minute) => job(minute, dies(minute))));

      await replay.untilMinute(BEGINS - 1);
      const { refused, end } = breakOut(storm, replay);
      await replay.untilMinute(20);
      await replay.add(Array.from({ length: 30 }, (_, index) => liveJob(21, index)));
      await replay.untilMinute(LAST);
      end();
      await replay.untilMinute(LAST + 20);

      await replay.expectAllJudged();
      expect(Math.max(...refused.values())).toBeLessThanOrEqual(storm.mostRefused);
      const during = replay.sweeps.slice(BEGINS - 1, LAST);
      if (storm.because !== null) expectRunsLeftOut(during, storm.because);
      expect(replay.sweeps.at(-1)?.health.status).toBe("ok");
    });
  }
});

function expectRunsLeftOut(during: readonly Swept[], because: string): void {
  const leftOut = during.filter(({ report }) => report.counts.skipped > 0);
  expect(leftOut.length).toBeGreaterThan(20);
  for (const { report } of leftOut) expect(report.exitCode).toBe(3);
  expect(during[0]?.health.reasons).toContain(because);
}

function breakOut({ allowed, everyMs, saysWhen }: Storm, replay: Replay) {
  const seen = new Map<string, number>();
  const refused = new Map<string, number>();
  const end = replay.host.intercept((request) => {
    if (!isApiCall(request)) return undefined;
    const window = Math.floor(replay.nowMs / everyMs);
    if (countUp(seen, String(window)) <= allowed) return undefined;
    countUp(refused, `${request.kind} ${window}`);
    const reply = json(429, {
      error: `Rate limit exceeded: ${allowed} per ${everyMs / 1000} second`,
    });
    const waitS = Math.ceil(((window + 1) * everyMs - replay.nowMs) / 1000);
    const headers = saysWhen ? { "retry-after": String(waitS) } : {};
    return { ...reply, headers: { ...reply.headers, ...headers } };
  });
  return { refused, end };
}

function countUp(counts: Map<string, number>, name: string): number {
  const count = (counts.get(name) ?? 0) + 1;
  counts.set(name, count);
  return count;
}

/** Half of them end without a callback. */
function liveJob(minute: number, index: number): JobSpec {
  const stale = minute + (index % 5);
  const truth = ends(stale + 10 + 4 * (index % 6), index % 3, index % 2 === 0);
  return job(stale, truth, { startedAtMs: (minute - 6) * MINUTE_MS });
}
