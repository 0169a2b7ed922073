import { describe, expect, it } from "vitest";
import { json, type SeenRequest } from "../fake-host/model.ts";
import { normally, onceAnswered } from "../support/replay/checks.ts";
import { dies, ends, type Job, job } from "../support/replay/jobs.ts";
import { API_CONCURRENCY, type Replay, startReplay } from "../support/replay/replay.ts";
import { REPLAY_TIMEOUT_MS } from "../support/replay/time.ts";
import { isApiCall } from "../support/replay/traffic.ts";

const BEGINS = 4;
const LAST = 33;

describe("one tenant's calls answered with 429 for half an hour", {
  timeout: REPLAY_TIMEOUT_MS,
}, () => {
  for (const [name, headers, mostRefused] of [
    // One pause after the other, and each time those that were under way together.
    ["and a pause of five minutes", { "retry-after": "300" }, 7 * API_CONCURRENCY],
    // A try a minute, once it has been refused five times in a row.
    ["without a pause", {}, 5 * API_CONCURRENCY + LAST - BEGINS],
  ] as const) {
    it(`${name}: the others' runs are judged as in quiet times, and its own after the recovery`, async () => {
      const tenants = new Set<Job>();
      const judgedBy = (one: Job) =>
        tenants.has(one) ? onceAnswered(LAST + 0.5)(one) : normally(one);
      await using replay = await startReplay({ judgedBy });
      const [first] = await replay.add([job(5, ends(6, 0, false))]);
      if (first === undefined) throw new Error("a run was added");
      const of = { ...first, id: first.automationId };
      const more = Array.from({ length: 20 }, (_, index) => 3 + (index % 20));
      const own = await replay.add(
        more.map((minute) => job(minute, ends(minute + 4, 0, false), { of })),
      );
      for (const one of [first, ...own]) tenants.add(one);
      const minutes = Array.from({ length: 60 }, (_, index) => 2 + (index % 30));
      await replay.add(minutes.map((minute) => job(minute, ends(minute + 3, 1, false))));
      await replay.add([7, 15, 23].map((minute) => job(minute, dies(minute))));

      await replay.untilMinute(BEGINS - 1);
      const { refused, end } = refuse(replay, tenants, headers);
      await replay.untilMinute(LAST);
      end();
      await replay.untilMinute(LAST + 18);

      await replay.expectAllJudged();
      expect(refused.length).toBeGreaterThan(0);
      expect(refused.length).toBeLessThanOrEqual(mostRefused);
      const reasons = new Set(replay.sweeps.flatMap(({ health }) => health.reasons));
      expect(
        [...reasons].filter((reason) => reason.startsWith("the backend is not asked")),
      ).toEqual([]);
      expect(replay.sweeps.at(-1)?.health.status).toBe("ok");
    });
  }
});

/** The key of all its runs is the same; so is what the API says to it. */
function refuse(replay: Replay, tenants: ReadonlySet<Job>, headers: object) {
  const sandboxes = new Set([...tenants].map(({ sandboxId }) => sandboxId));
  const refused: SeenRequest[] = [];
  const end = replay.host.intercept((request) => {
    if (!isApiCall(request) || !sandboxes.has(request.sandboxId ?? "")) return undefined;
    refused.push(request);
    const reply = json(429, { error: "Rate limit exceeded: 20 per 1 hour" });
    return { ...reply, headers: { ...reply.headers, ...headers } };
  });
  return { refused, end };
}
