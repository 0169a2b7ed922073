import { describe, expect, it } from "vitest";
import { humanStatus, jsonStatus } from "../../src/report/status.ts";
import { NOBODY_WAITS } from "../../src/rules/report.ts";
import { type FleetView, fleetStatus } from "../../src/rules/status/fleet-status.ts";
import { aWorker, fleetView } from "./a-fleet-view.ts";
import { documentProblems } from "./schema/document-problems.ts";

const ID = "00000000-0000-4000-8000-000000000001";

/** Everything at once. */
const TROUBLED = fleetView({
  lastPause: {
    until: "2026-01-01T02:00:00Z",
    reason: "the sandbox API is being moved to another cluster, ask before resuming",
    by: "ann@some-rather-long-host-name.example",
    leftMs: 7_200_000,
  },
  lastSweep: { sinceStartMs: 4000, sinceFinishMs: null, status: "held", counts: { held: 12 } },
  waiting: {
    alive: 3,
    suspected: 1,
    held: 12,
    unanswered: 1204,
    failing: 0,
    nextLookAt: "2026-01-01T00:00:40.000Z",
    causes: [{ cause: "service_api mint_api_key: HTTP 401", count: 1204 }],
    failures: [],
  },
  held: [{ runId: ID, heldMs: 10_800_000, reason: "sandbox missing" }],
  cleanups: { pending: 4, overdueMs: 180_000 },
  workers: [aWorker(), aWorker({ holder: "host-2/1/cd34", seenAgoMs: 4_000_000 })],
});

function human(view: FleetView): string {
  return humanStatus(view, fleetStatus(view, 180_000));
}

describe("humanStatus", () => {
  it("says on one screen that all is well", () => {
    expect(human(fleetView()).split("\n")).toEqual([
      "run-watchdog: ok",
      "",
      "leader        host-1/4711/ab12, lease in Redis, epoch 42, active 28 s ago",
      "last sweep    ok 28 s ago, took 2.0 s, 3 completed, 1 failed",
      "waiting       no run",
      "deletions     none pending",
      "workers       2 workers",
      "    host-1/4711/ab12",
      "      1.2.3, settings 0123456789ab, redis lease, up 2 h 5 min, seen 12 s ago",
      "    host-2/1/cd34",
      "      1.2.3, settings 0123456789ab, redis lease, up 2 h 5 min, seen 12 s ago",
      "",
    ]);
  });

  it("says first what is wrong, then what waits, and what lets it pass", () => {
    const text = human(TROUBLED);
    expect(text).toMatch(
      /^run-watchdog: degraded\n {2}- paused until 2026-01-01T02:00:00Z by ann@/,
    );
    expect(text).toContain("  - 12 held back by the guard, if they are dead");
    expect(text).toContain(
      "1204 x service_api mint_api_key: HTTP 401, check AUTOMATION_SERVICE_KEY",
    );
    expect(text).toContain("held, 1,204 unanswered, 1 suspected, 3 alive; next look in 40 s");
    expect(text).toContain(`    ${ID} held for 3 h: sandbox missing\n    and 11 more\n`);
    expect(text).toContain('    run-watchdog once --override-guard "<why they are dead>"\n');
    expect(text).toContain("4 pending, the oldest was due 3 min ago");
    expect(text).toContain("begun 4.0 s ago and not finished; the one before: held, 12 held");
    expect(text).toContain("not seen any more");
  });

  it("keeps to 80 columns, whatever names and reasons there are", () => {
    const long = "x".repeat(300);
    const view = { ...TROUBLED, leader: long, workers: [aWorker({ holder: long, version: long })] };
    for (const line of [...human(TROUBLED).split("\n"), ...human(view).split("\n")]) {
      expect(line.length).toBeLessThanOrEqual(80);
    }
  });

  it("says what there is before the first sweep", () => {
    const text = human(
      fleetView({
        leader: null,
        leaseKind: null,
        sinceProgressMs: null,
        lastSweep: { sinceStartMs: null, sinceFinishMs: null, status: null, counts: null },
        workers: [],
      }),
    );
    expect(text).toContain("leader        nobody has swept yet\nlast sweep    none\n");
    expect(text).toContain("workers       none was seen in the last day\n");
  });

  it("tells who leads each shard and when it was swept, where there are several", () => {
    const lead = { holder: "host-1/4711/ab12", sinceFinishMs: 28_000, sinceProgressMs: 28_000 };
    const shards = [
      { shard: 0, ...lead },
      { shard: 1, ...lead, sinceFinishMs: null, sinceProgressMs: 2000 },
      { shard: 2, holder: null, sinceFinishMs: null, sinceProgressMs: null },
    ];
    const text = human(fleetView({ shards }));
    expect(text).toContain("    0: host-1/4711/ab12, swept 28 s ago\n");
    expect(text).toContain("    1: host-1/4711/ab12, being swept, active 2.0 s ago\n");
    expect(text).toContain("    2: its last leader has stopped, not swept yet\n");
    const view = fleetView({ shards, workers: [aWorker({ shards: 3 })] });
    const document = JSON.parse(jsonStatus(view, fleetStatus(view, 180_000)));
    expect(document.shards[1]).toEqual({
      shard: 1,
      holder: "host-1/4711/ab12",
      finishedSecondsAgo: null,
      progressedSecondsAgo: 2,
    });
    expect(documentProblems("status.json", document)).toEqual([]);
  });

  it("repeats no line break of a name", () => {
    const text = human(fleetView({ leader: "host\u001b[2J\n/1/ab12" }));
    expect(text).not.toContain("\u001b");
    expect(text).toContain("leader        host [2J /1/ab12");
  });
});

describe("jsonStatus", () => {
  it("is one document with the same facts", () => {
    const text = jsonStatus(TROUBLED, fleetStatus(TROUBLED, 180_000));
    expect(text.indexOf("\n")).toBe(text.length - 1);
    const document = JSON.parse(text);
    expect(document).toMatchObject({
      version: 1,
      status: "degraded",
      exitCode: 4,
      paused: { until: "2026-01-01T02:00:00Z" },
      leader: { holder: "host-1/4711/ab12", epoch: 42, progressedSecondsAgo: 28 },
      lastSweep: { startedSecondsAgo: 4, finishedSecondsAgo: null, status: "held" },
      held: [{ runId: ID, heldSeconds: 10_800, reason: "sandbox missing" }],
      cleanups: { pending: 4, overdueSeconds: 180 },
      workers: [{ current: true, upSeconds: 7500 }, { current: false }],
    });
    expect(document.waiting.causes[0].remedy).toBe("check AUTOMATION_SERVICE_KEY");
  });

  it("names no pause that is over", () => {
    const lastPause = { until: "2026-01-01T00:00:00Z", reason: "x", by: "ann", leftMs: 0 };
    const view = fleetView({ lastPause, waiting: NOBODY_WAITS });
    expect(JSON.parse(jsonStatus(view, fleetStatus(view, 180_000))).paused).toBeNull();
  });
});
