import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import type { PageFacts } from "../../../src/report/page/model.ts";
import { statusPage } from "../../../src/report/page/page.ts";
import { STYLE } from "../../../src/report/page/style.ts";
import { aReport } from "../a-report.ts";
import {
  BUILD,
  DEGRADED,
  DIVIDED,
  FAILING,
  FIRST_SWEEP,
  HELD,
  NOTHING_YET,
  OBSERVING,
  OK,
  PAUSED,
  runId,
  STANDBY,
  STATES,
} from "./page-states.ts";

const pageOf = (facts: PageFacts) => statusPage(facts, BUILD).html;
/** What a person reads of it. */
const textOf = (facts: PageFacts) =>
  pageOf(facts)
    .replace(/^.*<body>/s, "")
    .replace(/<title>.*?<\/title>/gs, "")
    .replace(/<[^>]*>/g, " ")
    .replace(/&#(\d+);/g, (_, code) => String.fromCodePoint(Number(code)))
    .replace(/\s+/g, " ");

describe("the status page", () => {
  it("says that all is well, and what the process does", () => {
    const text = textOf(OK);
    expect(text).toContain("ok Nothing is wrong, as far as this process can see.");
    expect(text).toContain("Idle between two sweeps; the next sweep is due in 30 s .");
    expect(text).toContain("7 alive running or starting");
    expect(text).toContain("1 suspected looks dead");
    expect(text).toContain("Next look in 12 s .");
    expect(text).not.toContain("Held back by the guard");
  });

  it("gives every reason when it is degraded, with what to do", () => {
    const text = textOf(DEGRADED);
    expect(text).toContain("20 x service_api mint_api_key: HTTP 401, check AUTOMATION_SERVICE_KEY");
    expect(text).toContain("1 x the row was rejected: check constraint");
    expect(text).toContain("the backend is not asked: circuit breaker open");
    expect(text).toContain("23 unanswered");
    expect(text).toContain("Circuit breaker open Asked now no: circuit breaker open");
    expect(text).toContain("Pause it asked for 34 s Calls at once 2");
  });

  it("is failing with the failing reasons first", () => {
    const text = textOf(FAILING);
    expect(text).toContain(
      "failing nobody has swept for 3 scheduled ticks: check that a worker runs, and what its log or run-watchdog doctor says postgres: reading the",
    );
    expect(text).toContain("Postgres reading the leadership row failed: connect ECONNREFUSED <ad");
  });

  it("says what is held, why, and the command that lets it pass", () => {
    const text = textOf(HELD);
    expect(text).toContain("Held back by the guard: 73 runs");
    expect(text).toContain("Why: a mass: 73 presumptions, 12 runs answered");
    expect(text).toContain('run-watchdog once --override-guard "<why they are dead>"');
    for (const number of [71, 72, 73, 74, 75]) expect(text).toContain(runId(number));
  });

  it("still says why runs are held when later sweeps held nothing more", () => {
    const text = textOf({ ...HELD, heldFor: null, lastSweep: "ok" });
    expect(text).toContain("Held back by the guard: 73 runs");
    expect(text).toContain("Why: a mass: 73 presumptions, 12 runs answered ( 30 s ago )");
  });

  it("says on a replica that held nothing itself where the reason is", () => {
    const text = textOf({ ...HELD, heldFor: null, lastHold: null });
    expect(text).toContain("The page and the log of the worker that held them say why.");
  });

  it("forgets what was held once nothing waits for it", () => {
    const text = textOf({ ...HELD, heldFor: null, lastSweep: "ok", waiting: OK.waiting });
    expect(text).not.toContain("Held back by the guard");
  });

  it("names the leader on a standby, and says whose sweeps it does not know", () => {
    const text = textOf(STANDBY);
    expect(text).toContain("Standby : watchdog-6f9c7d-p4k9q/1/cd34 leads");
    expect(text).toContain(
      "Lease (redis) watchdog-6f9c7d-p4k9q/1/cd34, for 30 s by now, ends in 11 s unless",
    );
    expect(text).toContain("It ended not yet, began 30 s ago");
    expect(text).toContain("None yet. The leader's page shows its own.");
  });

  it("tells the newer of the fleet's last sweep as it was read, and of its own", () => {
    const sweepOf = (epoch: number) => [
      aReport({ epoch, status: "partial", finishedAt: "2026-01-01T14:02:20.000Z" }),
    ];
    expect(textOf({ ...OK, recentSweeps: sweepOf(1206) })).toContain(
      "Last sweep by watchdog-6f9c7d-x2x8v/1/ab12 It ended 30 s ago : ok Epoch 1207",
    );
    for (const epoch of [1207, 1208]) {
      expect(textOf({ ...OK, recentSweeps: sweepOf(epoch) })).toContain(
        `Last sweep by host-1/4711/ab12 It ended 10 s ago : partial Epoch ${epoch}`,
      );
    }
    expect(textOf({ ...OK, leadership: null, recentSweeps: sweepOf(1) })).toContain("Epoch 1");
  });

  it("says of everything that it is not known yet, before the first answer", () => {
    const text = textOf(NOTHING_YET);
    expect(text).toContain("postgres has not answered yet");
    expect(text).toContain("Not known yet: the database has not been read.");
    expect(text).toContain("Last sweeps of this process None yet.");
    expect(text).toContain("This process has ended no run yet.");
    expect(text).toContain("Not known yet: this process has not swept.");
  });

  it("says that no run waits when none does", () => {
    expect(textOf(FIRST_SWEEP)).toContain("No run waits.");
  });

  it("says that a lease without an expiry has no end", () => {
    expect(textOf({ ...STANDBY, leaseExpiresAt: null, leaseHeldForMs: null })).toContain(
      "cd34, without an end",
    );
  });

  it("says who paused it, until when, why, and how to end that", () => {
    expect(textOf(PAUSED)).toContain(
      "degraded paused until 2026-01-01T15:32:30.000Z by alice@ops-1: backend upgrade, ticket 4711",
    );
    expect(textOf(PAUSED)).toContain(
      "Paused : nobody sweeps before 15:32:30 UTC, unless run-watchdog resume ends the pause.",
    );
    expect(textOf(pausedFor(1))).toContain("Paused");
    expect(textOf(pausedFor(0))).not.toMatch(/paused/i);
  });

  it("says of a worker that observes that nothing it lists was written", () => {
    expect(textOf(OBSERVING)).toContain("Observing now; the next sweep is due in 30 s .");
    expect(textOf(OBSERVING)).toContain("none of this was written");
    expect(textOf(OK)).not.toContain("none of this was written");
  });

  it("lists the replicas, which leads, and whose settings differ", () => {
    const text = textOf(OBSERVING);
    expect(text).toContain(
      "x2x8v/1/ab12 this one, leads, version 1.2.3, up for 3 h 0123456789ab 400 ms ago",
    );
    expect(text).toContain(
      "p4k9q/1/cd34 version 1.2.3, up for 3 h ba9876543210 not the same as here 12 s ago",
    );
    expect(text).toContain("z7z7z/1/ef56 version 1.2.2, up for 3 h 0123456789ab 5 min ago");
    expect(textOf(OK)).not.toContain("Replicas");
  });

  it("tells of each shard who leads it and when it was swept, where there are several", () => {
    const text = textOf(DIVIDED);
    expect(text).toContain(
      "Shards Each with a lease of its own (redis) Shard Leader Last swept 0 watchdog-6f9c7d-x2x8v/1/ab12 under way 1 watchdog-6f9c7d-p4k9q/1/cd34 under way 2 watchdog-6f9c7d-p4k9q/1/cd34 30 s ago 3 nobody, as far as this process knows not known yet",
    );
    // A single lease and a single epoch are not told of as if they were of all.
    expect(text).not.toContain("Epoch");
    expect(text).toContain("x2x8v/1/ab12 this one, version 1.2.3");
    expect(textOf({ ...DIVIDED, role: "standby" })).toContain("Standby : other workers lead;");
    for (const facts of [OK, STANDBY]) expect(textOf(facts)).not.toMatch(/shard/i);
  });

  it("says it where runs share no API", () => {
    expect(textOf({ ...OK, api: null })).toContain("Runs share none with this backend.");
  });

  it("lists verdicts with outcome, basis, reason and run", () => {
    const text = textOf(OK);
    expect(text).toContain(`14:01:30 completed proof exit_code=0 ${runId(1)}`);
    expect(text).toContain(`13:59:30 failed presumption sandbox missing ${runId(3)}`);
    expect(text).toContain(`2025-12-31 13:02:30 failed proof exit_code=-1 ${runId(1500)}`);
  });

  it("draws one bar per sweep and kind, in words as well", () => {
    expect(pageOf(OK).match(/<rect /g)).toHaveLength(4 * 60);
    expect(pageOf(FIRST_SWEEP).match(/<rect /g)).toHaveLength(4);
    expect(pageOf(DEGRADED)).toContain(
      'aria-label="Runs held, skipped or in error in the last 60 sweeps: last 20, most 20"',
    );
    expect(textOf(DEGRADED)).toContain("14:02:00 partial 0 20 20 750 ms");
  });

  it("counts clean-ups over the sweeps it remembers", () => {
    expect(textOf(OK)).toContain(
      "Pending 4 Deleted 60 in the last 60 sweeps Abandoned 0 in the last 60 sweeps",
    );
    expect(textOf(FIRST_SWEEP)).toContain("Deleted 0 in the last sweep");
  });

  it("says which build it is, and with which configuration", () => {
    expect(textOf(OK)).toContain("Version 1.2.3, Node.js v24.0.0 Up for 3 h");
    expect(textOf(OK)).toContain("Configuration 0123456789ab");
  });
});

describe("the document", () => {
  for (const [name, facts] of Object.entries(STATES)) {
    it(`needs nothing from elsewhere and no script: ${name}`, () => {
      const page = pageOf(facts);
      expect(page).not.toMatch(/<script|<iframe|<object|<embed|<form|@import|url\(|\son\w+=/i);
      const addresses = Array.from(page.matchAll(/(?:href|src)="([^"]*)"/g), ([, url]) => url);
      expect(
        addresses.filter((url) => !/^(data:image\/svg\+xml,|health$)/.test(url ?? "")),
      ).toEqual([]);
      // A policy with a hash forbids attributes that hold a style.
      expect(page).not.toMatch(/\sstyle=/);
      expect(page).toContain('<meta http-equiv="refresh" content="10">');
    });

    it(`closes what it opens, has a heading per section and a head for every column: ${name}`, () => {
      const page = pageOf(facts);
      expect(unclosed(page)).toEqual([]);
      const sections = page.match(/<section /g)?.length ?? 0;
      expect(page.match(/<section [^>]*aria-labelledby="(\w+)"><h2 id="\1">/g)).toHaveLength(
        sections,
      );
      expect(page.match(/<h1>/g)).toHaveLength(1);
      for (const [, head = "", body = ""] of page.matchAll(
        /<thead><tr>(.*?)<\/tr><\/thead><tbody><tr>(.*?)<\/tr>/g,
      )) {
        expect(head.match(/<th scope="col"/g)).toHaveLength(body.match(/<td/g)?.length ?? 0);
      }
    });
  }

  it("allows its own style by its hash, and nothing else", () => {
    const { html, contentSecurityPolicy } = statusPage(OK, BUILD);
    const [, style = ""] = /<style>(.*?)<\/style>/s.exec(html) ?? [];
    const hash = createHash("sha256").update(style).digest("base64");
    expect(contentSecurityPolicy).toBe(
      `default-src 'none'; style-src 'sha256-${hash}'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
    );
  });

  it("escapes every text that comes from outside", () => {
    const hostile = `</style><script>alert(1)</script>"'><img src=x onerror=alert(1)>&\u202e\u0000`;
    const facts = hostileFacts(hostile);
    const page = statusPage(facts, { version: hostile, node: hostile, fingerprint: hostile }).html;
    const shown = "&#60;script&#62;alert(1)&#60;/script&#62;&#34;&#39;&#62;&#60;img src=x";
    expect(page.split(shown).length - 1).toBeGreaterThanOrEqual(15);
    for (const bad of ["<script", "<img", "\u202e", "\u0000"]) expect(page).not.toContain(bad);
    expect(page.match(/<\/style>/g)).toHaveLength(1);
    expect(unclosed(page)).toEqual([]);
    const shards = [{ shard: 0, role: "idle", leader: hostile, fleet: null } as const];
    const divided = pageOf({ ...OK, shards });
    expect(divided).toContain(shown);
    for (const bad of ["<script", "<img", "\u202e", "\u0000"]) expect(divided).not.toContain(bad);
  });

  it("stays small however much there is to say", () => {
    const long = "x".repeat(200);
    const causes = Array.from({ length: 20 }, () => ({ cause: long, count: 1 }));
    const waiting = { ...HELD.waiting, causes, failures: causes } as PageFacts["waiting"];
    const verdicts = Array.from({ length: 20 }, () => OK.recentVerdicts[0]).flatMap(
      (one) => one ?? [],
    );
    expect(pageOf({ ...HELD, waiting, recentVerdicts: verdicts }).length).toBeLessThan(64 * 1024);
  });
});

describe("the style", () => {
  const [light = "", dark = ""] = Array.from(
    STYLE.matchAll(/:root \{([^}]*)\}/g),
    ([, body]) => body,
  );
  const pairs = [
    ["text", "card"],
    ["text", "ground"],
    ["quiet", "card"],
    ["quiet", "ground"],
    ["link", "ground"],
    ...["ok", "warn", "bad"].flatMap((tone) => [
      [tone, `${tone}-ground`],
      ["text", `${tone}-ground`],
    ]),
  ];
  for (const [scheme, colours] of Object.entries({ light, dark })) {
    it(`has a contrast of 4.5 to 1 for text, and of 3 to 1 for bars: ${scheme}`, () => {
      const poor = pairs.filter(([one = "", other = ""]) => contrast(colours, one, other) < 4.5);
      expect(poor).toEqual([]);
      const bars = ["ended", "later", "trouble", "took"];
      expect(bars.filter((bar) => contrast(colours, bar, "card") < 3)).toEqual([]);
    });
  }
});

function pausedFor(leftMs: number): PageFacts {
  if (PAUSED.lastPause === null) throw new Error("the state lacks its pause");
  return { ...PAUSED, lastPause: { ...PAUSED.lastPause, leftMs } };
}

/** The same facts, with this for every text that is not a time or a word of the program's own. */
function hostileFacts(hostile: string): PageFacts {
  const [verdict] = OK.recentVerdicts;
  const [sweep] = OK.recentSweeps;
  if (verdict === undefined || sweep === undefined || HELD.waiting === null) {
    throw new Error("the states lack what is to be made hostile");
  }
  return {
    ...HELD,
    role: "standby",
    postgres: { problem: hostile },
    lease: { problem: hostile },
    otherLeaseKind: hostile,
    endlessLeaseKey: hostile,
    heldFor: hostile,
    apiRefusal: hostile,
    holder: hostile,
    leaseKind: hostile,
    leaseHolder: hostile,
    leadership: {
      epoch: 1,
      holder: hostile,
      sweepStartedAt: null,
      sweepFinishedAt: OK.at.toISOString(),
      lastStatus: hostile,
    },
    waiting: {
      ...HELD.waiting,
      causes: [{ cause: hostile, count: 1 }],
      failures: [{ cause: hostile, count: 1 }],
    },
    recentSweeps: [{ ...sweep, status: hostile as "ok" }],
    recentVerdicts: [
      {
        ...verdict,
        outcome: {
          ...verdict.outcome,
          runId: hostile,
          reason: hostile,
          action: hostile as "failed",
        },
      },
    ],
    lastHold: { at: OK.at.toISOString(), reason: hostile, runIds: [hostile] },
    lastPause: { until: OK.at.toISOString(), by: hostile, reason: hostile, leftMs: 1 },
    replicas: [{ holder: hostile, version: hostile, fingerprint: hostile, upMs: 1, seenAgoMs: 1 }],
    api: {
      breaker: hostile as "open",
      blockedReason: hostile,
      throttle: { pausedForMs: 0, concurrency: null },
    },
  };
}

const VOID = ["meta", "link", "hr", "path", "!doctype"];

/** Elements that are not closed, or closed without being open, in their order. */
function unclosed(page: string): readonly string[] {
  const open: string[] = [];
  for (const [, slash, name = ""] of page.matchAll(/<(\/?)(!?[a-z][a-z0-9]*)[^>]*>/g)) {
    if (VOID.includes(name)) continue;
    if (slash === "") open.push(name);
    else if (open.at(-1) === name) open.pop();
    else return [...open, `/${name}`];
  }
  return open;
}

/** By the Web Content Accessibility Guidelines. */
function contrast(colours: string, one: string, other: string): number {
  const [light = 0, dark = 0] = [luminance(colours, one), luminance(colours, other)].toSorted(
    (a, b) => b - a,
  );
  return (light + 0.05) / (dark + 0.05);
}

function luminance(colours: string, name: string): number {
  const hex = new RegExp(`--${name}: #([0-9a-f]{6});`).exec(colours)?.[1];
  if (hex === undefined) throw new Error(`there is no colour ${name}`);
  const [red = 0, green = 0, blue = 0] = [0, 2, 4].map((at) => {
    const share = Number.parseInt(hex.slice(at, at + 2), 16) / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}
