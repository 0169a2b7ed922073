import { PassThrough } from "node:stream";
import type { Sql } from "postgres";
import postgres from "postgres";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { EnvReader } from "../../src/config/env/env-reader.ts";
import { readGuard } from "../../src/config/sweep.ts";
import { isMassFailure } from "../../src/rules/guard.ts";
import { startFakeHost } from "../fake-host/fake-host.ts";
import { seedRun } from "../fake-host/seed.ts";
import { createDatabase, type TestDatabase } from "../services/postgres/database.ts";
import { castOf, FEWEST_RUNS, type Member, MOST_RUNS, massOf } from "./cast.ts";
import { LockWatch } from "./lock-watch.ts";
import { GROUPS, type RoleName, STOPPED } from "./roles.ts";
import { openScreen } from "./screen.ts";
import { Sightings } from "./sightings.ts";

describe("castOf", () => {
  const roles = new Set(castOf(MOST_RUNS).map(({ role }) => role));

  for (const runs of [FEWEST_RUNS, FEWEST_RUNS + 1, 57, 200, MOST_RUNS]) {
    it(`gives ${runs} runs every role, and as many members as runs`, () => {
      const cast = castOf(runs);
      expect(cast).toHaveLength(runs);
      expect(new Set(cast.map(({ role }) => role))).toEqual(roles);
      const groups = [...cast, ...massOf()].map(({ automation }) => automation.name);
      expect(new Set(groups)).toEqual(new Set(GROUPS));
      expect(cast.map(({ automation }) => automation.name)).not.toContain(STOPPED.group);
      expect(cast.filter(({ role }) => role === "protected")).toHaveLength(1);
    });
  }

  it("lets somebody be dealt with before those that are held back, and their deadlines tell", () => {
    const cast = castOf(200);
    const due = cast.map(({ seed }) => seed.overdueMs ?? 0);
    const late = cast.flatMap(({ role }, at) => (role === "on time" ? [] : [due[at] ?? 0]));
    expect(late).toEqual(late.toSorted((a, b) => b - a));
    expect(Math.min(...late)).toBeGreaterThan(0);
    expect(cast.findIndex(({ held }) => held)).toBe(40);
    expect(cast.filter(({ held }) => held).length).toBeGreaterThan(16);
  });
});

describe("castOf and massOf under the guard's defaults", () => {
  const guard = readGuard(new EnvReader({}, () => ""));
  const DEAD: ReadonlySet<RoleName> = new Set(["vanished", "overdue", "late"]);
  const LIVING: ReadonlySet<RoleName> = new Set(["running", "starting", "no command"]);
  const count = (cast: readonly Member[], roles: ReadonlySet<RoleName>) =>
    cast.filter(({ role }) => roles.has(role)).length;
  const isMassOf = (presumed: number, living: number) => {
    const answered = presumed + living;
    return isMassFailure(
      { life: "seen", presumed, answered, appliedLastHour: 0, provenLastHour: 0 },
      guard,
    );
  };
  const casts = Array.from({ length: MOST_RUNS - FEWEST_RUNS + 1 }, (_, at) =>
    castOf(FEWEST_RUNS + at),
  );

  it("keep the presumed dead few, and below the cap of an hour, for every number of runs", () => {
    for (const cast of casts) {
      const dead = count(cast, DEAD);
      expect(isMassOf(dead, count(cast, LIVING)), `${cast.length} runs`).toBe(false);
      expect(dead).toBeLessThan(guard.perHour);
    }
  });

  it("stop so many at once that they are a mass, for every number of runs", () => {
    for (const cast of casts) {
      // The protected run answers as well.
      const living = count(cast, LIVING) + 1;
      expect(isMassOf(massOf().length, living), `${cast.length} runs`).toBe(true);
    }
  });
});

describe("Sightings", () => {
  it("notes when a sandbox was looked up, and nothing once it is disposed of", async () => {
    await using host = await startFakeHost();
    const before = Date.now();
    using sightings = new Sightings(host);
    const lookUp = (id: string) => fetch(`${host.url}/api/v1/sandboxes?id=${id}`);
    await lookUp("a");
    await lookUp("a");
    await fetch(`${host.agentUrl("a")}/server_info`);
    sightings[Symbol.dispose]();
    await lookUp("a");
    const [first = 0, second = 0, ...more] = sightings.of("a");
    expect(first).toBeGreaterThanOrEqual(before);
    expect(second).toBeGreaterThanOrEqual(first);
    expect(second).toBeLessThanOrEqual(Date.now());
    expect(more).toEqual([]);
    expect(sightings.of("b")).toEqual([]);
  });
});

describe("LockWatch", () => {
  let database: TestDatabase;
  let sql: Sql;
  let worker: Sql;

  beforeAll(async () => {
    database = await createDatabase();
    sql = database.sql;
    const connection = { application_name: "run-watchdog" };
    worker = postgres(database.url, { max: 1, connection, fetch_types: false });
  });

  afterAll(async () => {
    await worker.end({ timeout: 1 });
    await database[Symbol.asyncDispose]();
  });

  it("sees nothing where the watchdog's transactions end at once", async () => {
    await using watch = new LockWatch(database.url);
    const { id } = await seedRun(sql);
    await worker`UPDATE automation_runs SET status = 'FAILED' WHERE id = ${id}`;
    const figures = await watch.end();
    expect(figures).toMatchObject({ idleInTransaction: 0, blockedWriters: 0 });
    expect(figures.samples).toBeGreaterThan(0);
  });

  it("sees a transaction that the watchdog left open, and the writer that waits for it", async () => {
    const { id } = await seedRun(sql);
    await using watch = new LockWatch(database.url);
    let waiting: Promise<unknown> | null = null;
    await worker.begin(async (transaction) => {
      await transaction`UPDATE automation_runs SET status = 'FAILED' WHERE id = ${id}`;
      waiting = sql`UPDATE automation_runs SET cost = 1 WHERE id = ${id}`.execute();
      await expect.poll(() => watch.figures.blockedWriters, { timeout: 90_000 }).toBeGreaterThan(0);
    });
    await waiting;
    expect((await watch.end()).idleInTransaction).toBeGreaterThan(0);
  });
});

describe("openScreen", () => {
  const TEXT = `${"word ".repeat(30)}end`;

  it("wraps what it tells at 80 columns, and shows no block where there is no terminal", () => {
    const { screen, shown } = screenOn({});
    screen.show(["a table"]);
    screen.tell(TEXT);
    const lines = shown().split("\n").slice(0, -1);
    expect(lines).toHaveLength(3);
    expect(lines[0]).toMatch(/^ {3}\d\.\d s {2}word word/);
    expect(lines[1]).toMatch(/^ {10}word word/);
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(80);
    expect(lines.map((line) => line.slice(10)).join(" ")).toBe(TEXT);
  });

  it("draws the block anew below each line on a terminal, and takes it away in the end", () => {
    const { screen, shown } = screenOn({ isTTY: true, columns: 80, rows: 24 });
    screen.show(["one", "two"]);
    screen.print(["a line"]);
    screen.show([]);
    const away = "\u001b[80D\u001b[2A\u001b[0J";
    expect(shown()).toBe(`one\ntwo\n${away}a line\none\ntwo\n${away}`);
  });

  for (const { where, size } of [
    { where: "too narrow", size: { columns: 79, rows: 24 } },
    { where: "too low", size: { columns: 80, rows: 12 } },
  ]) {
    it(`prints plain lines on a terminal that is ${where} for the block`, () => {
      const { screen, shown } = screenOn({ isTTY: true, ...size });
      screen.show(["one", "two"]);
      screen.print(["a line"]);
      expect(screen.live).toBe(false);
      expect(shown()).toBe("a line\n");
    });
  }
});

function screenOn(terminal: { isTTY?: boolean; columns?: number; rows?: number }) {
  const stream = Object.assign(new PassThrough(), terminal);
  // A terminal's other abilities are not asked for.
  const screen = openScreen(stream as unknown as NodeJS.WriteStream, 10);
  return { screen, shown: () => String(stream.read() ?? "") };
}
