/** What a report says of the stores when nothing could be swept: what is wrong, where, and who is in the way. */
import { describe, expect, it } from "vitest";
import { onceInProcess } from "../../commands/once-in-process.ts";
import { freePort } from "../../services/free-port.ts";
import { redisUrl } from "../../services/redis/redis.ts";
import {
  holdPostgresLease,
  holdRedisLease,
  OTHER_HOLDER,
  releaseRedisLease,
} from "../../support/process/held-lease.ts";
import { parseDocument } from "../../support/process/report-document.ts";
import { createWorld } from "../../support/world/world.ts";

type Env = Readonly<Record<string, string>>;

describe("a report", () => {
  it("says where Postgres does not answer, every time", async () => {
    await using world = await createWorld();
    const port = await freePort("127.0.0.1");
    const env = { ...world.env, DATABASE_URL: `postgres://u@127.0.0.1:${port}/d` };
    const message = `Postgres: reading the schema: connecting to 127.0.0.1:${port} failed: ECONNREFUSED: check that Postgres runs there, and host and port in DATABASE_URL or AUTOMATION_DB_*`;
    await expectTwice(env, 69, message, [[], ["--dry-run"]]);
    const { stdout } = await onceInProcess(env, []);
    expect(stdout.replaceAll(/\s+/g, " ")).toBe(`nothing was swept: ${message} `);
  });

  it("says that Postgres answers and refuses the login", async () => {
    await using world = await createWorld();
    const url = new URL(world.database.url);
    url.pathname = "/nowhere";
    const said = await expectTwice({ ...world.env, DATABASE_URL: url.href }, 69, /^Postgres: /);
    expect(said).toMatch(
      /"nowhere" does not exist .*check the database name in DATABASE_URL or AUTOMATION_DB_\*$/,
    );
    const { stdout } = await onceInProcess({ ...world.env, DATABASE_URL: url.href }, []);
    expect(stdout).not.toContain("cannot be reached");
  });

  it("says where Redis does not answer", async () => {
    await using world = await createWorld();
    const port = await freePort("127.0.0.1");
    const env = { ...world.env, REDIS_URL: `redis://127.0.0.1:${port}` };
    const said = await expectTwice(env, 69, /^Redis: /);
    expect(said).toContain(`127.0.0.1:${port}`);
    expect(said).toContain("ECONNREFUSED");
  });

  it("says who holds the lease and for how long, and which runs wait meanwhile", async () => {
    await using world = await createWorld();
    await world.seed();
    world.host.intercept(() => ({ status: 503 }));
    await onceInProcess(world.env, []);
    await holdPostgresLease(world.database.sql);
    const said = new RegExp(
      `^another worker holds the lease: ${OTHER_HOLDER}, for up to 1[12]\\d s unless it renews it$`,
    );
    const { stdout } = await onceInProcess(world.env, ["--output", "json"]);
    const report = parseDocument(stdout);
    expect(report).toMatchObject({
      exitCode: 75,
      message: expect.stringMatching(said),
      waiting: { unanswered: 1 },
    });
  });

  it("says for how long the holder has been sweeping under the lease", async () => {
    await using world = await createWorld();
    const { sql } = world.database;
    await holdPostgresLease(sql);
    await sql`
      UPDATE watchdog.leadership
      SET sweep_started_at = now() - interval '40 min', sweep_finished_at = NULL`;
    const said = new RegExp(
      `^another worker holds the lease: ${OTHER_HOLDER}, for 4\\d min( \\d+ s)? by now and for up to 1[12]\\d s unless it renews it$`,
    );
    const { stdout } = await onceInProcess(world.env, ["--output", "json"]);
    expect(parseDocument(stdout)).toMatchObject({
      exitCode: 75,
      message: expect.stringMatching(said),
    });
  });

  it("says which key has to be deleted when a lease has no expiry", async () => {
    await using world = await createWorld();
    const { sql } = world.database;
    const env = { ...world.env, REDIS_URL: redisUrl() };
    await holdRedisLease(redisUrl(), sql, false);
    const said =
      /^another worker holds the lease: .*, its key watchdog:\{.+\}:lease has no expiry: delete it$/;
    await expectTwice(env, 75, said);
    await releaseRedisLease(redisUrl(), sql);
  });

  it("says what ended a sweep that had begun", async () => {
    await using world = await createWorld();
    await world.seed();
    world.host.intercept(async ({ kind }) => {
      if (kind !== "lookup") return undefined;
      await world.database.sql`UPDATE watchdog.leadership SET epoch = epoch + 1`;
      return undefined;
    });
    const { exitCode, stdout } = await onceInProcess(world.env, []);
    expect(exitCode).toBe(1);
    expect(stdout.replaceAll(/\s+/g, " ")).toMatch(
      /^the sweep failed after .+, \d stale runs? handled: a newer epoch was handed out/,
    );
  });
});

/** @returns the message. */
async function expectTwice(
  env: Env,
  exitCode: number,
  message: string | RegExp,
  variants: readonly (readonly string[])[] = [[]],
): Promise<string> {
  const said = new Set<string | null>();
  for (const args of [...variants, ...variants]) {
    const told = await onceInProcess(env, ["--output", "json", ...args]);
    const report = parseDocument(told.stdout);
    expect([told.exitCode, report.exitCode]).toEqual([exitCode, exitCode]);
    if (typeof message === "string") expect(report.message).toBe(message);
    else expect(report.message).toMatch(message);
    said.add(report.message);
  }
  expect(said.size).toBe(1);
  return [...said][0] ?? "";
}
