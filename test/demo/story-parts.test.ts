import { PassThrough } from "node:stream";
import type { Sql } from "postgres";
import postgres from "postgres";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { castOf, FEWEST_RUNS, MOST_RUNS } from "../../src/demo/cast.ts";
import { LockWatch } from "../../src/demo/lock-watch.ts";
import { GROUPS } from "../../src/demo/roles.ts";
import { openScreen } from "../../src/demo/screen.ts";
import { seedRun } from "../../src/demo/seed.ts";
import { createDatabase, type TestDatabase } from "../support/database.ts";

describe("castOf", () => {
  const roles = new Set(castOf(MOST_RUNS).map(({ role }) => role));

  for (const runs of [FEWEST_RUNS, FEWEST_RUNS + 1, 57, 200, MOST_RUNS]) {
    it(`gives ${runs} runs every role, and as many members as runs`, () => {
      const cast = castOf(runs);
      expect(cast).toHaveLength(runs);
      expect(new Set(cast.map(({ role }) => role))).toEqual(roles);
      expect(new Set(cast.map(({ automation }) => automation.name))).toEqual(new Set(GROUPS));
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
      await expect.poll(() => watch.figures.blockedWriters, { timeout: 20_000 }).toBeGreaterThan(0);
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
