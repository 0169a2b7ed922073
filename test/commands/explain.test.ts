import { randomUUID } from "node:crypto";
import { describe, expect, it } from "vitest";
import { StoreUnavailableError } from "../../src/watchdog/errors.ts";
import { freePort } from "../services/free-port.ts";
import { createRole } from "../services/postgres/database-role.ts";
import { parseDocument } from "../support/process/report-document.ts";
import { runOnce } from "../support/process/worker-process.ts";
import { createWorld, exitedWith, randomCommandId, type World } from "../support/world/world.ts";
import { onceInProcess } from "./once-in-process.ts";
import { READER_GRANTS, readerInProcess } from "./reader-in-process.ts";

/** With enough time between two looks for the slowest machine. */
const TWICE = { WATCHDOG_CONFIRMATIONS: "2", WATCHDOG_DEFER: "5m" };

describe("explain", () => {
  it("comes to what a sweep of that run comes to", async () => {
    await using world = await createWorld();
    for (const id of await seedMixed(world)) {
      const { now } = await explained(world, id);
      const args = ["--dry-run", "--run", id, "--output", "json"];
      const [swept] = parseDocument((await onceInProcess(world.env, args)).stdout).runs;
      const { action, basis, reason } = now.outcome;
      expect({ action, basis, reason }).toEqual({
        ...{ action: swept?.action, basis: swept?.basis, reason: swept?.reason },
      });
    }
  });

  it("writes nothing to any row, and deletes nothing", async () => {
    await using world = await createWorld();
    const ids = await seedMixed(world);
    const before = await contents(world);
    for (const id of ids) expect((await explain(world, id)).exitCode).toBe(0);
    expect(await contents(world)).toEqual(before);
    expect(world.host.traffic.of("delete").seen).toBe(0);
    expect(world.host.traffic.of("lookup").seen).toBeGreaterThan(0);
  });

  it("needs no right but SELECT", async () => {
    await using world = await createWorld();
    const { id } = await world.seed({}, { status: "MISSING" });
    await using role = await createRole(world.database, READER_GRANTS);
    const { exitCode, stdout } = await explain(world, id, { DATABASE_URL: role.url });
    expect(exitCode).toBe(0);
    expect(stdout).toContain("the sandbox is missing");
  });

  it("leads from what the backend says to what a sweep does, rule by rule", async () => {
    await using world = await createWorld();
    const { id } = await world.seed({}, { status: "MISSING" });
    await world.seed({ overdueMs: -3_600_000 });
    expect(await sentences(world, id, TWICE)).toMatchObject({
      backend: "the sandbox is missing",
      rules: [
        "the run is due: a sweep takes it up",
        "the backend answered for itself",
        "a presumption must be seen 2 times: 1 so far, with this one; 1 missing",
        "guard: 0 runs presumed dead and 0 answered for, more than 10,000 are a mass failure",
        "guard: a sign of life is looked for once the presumption is confirmed",
        "guard: 0 of at most 100,000 presumptions were written in the last hour",
        expect.stringMatching(/^guard: from .* on, only the hourly limit can hold it$/),
      ],
      so: expect.stringMatching(
        /^a sweep does this with it: leave it RUNNING and remember that it looks dead \(sandbox missing\); asked again in [^)]+$/,
      ),
    });
    await world.sweep({ env: TWICE });
    const soon = await sentences(world, id, TWICE);
    expect(soon.rules).toContain(
      "a presumption must be seen 2 times: 1 so far, this one came too soon to count; 1 missing",
    );
    expect(soon.rules[0]).toMatch(/^the run is not due before .*Z \(in .*\); what follows/);
    await world.database.sql`
      UPDATE watchdog.suspicions SET presumed_last_at = presumed_last_at - interval '1 hour'`;
    const late = await sentences(world, id, TWICE);
    expect(late.rules).toContain(
      "a presumption must be seen 2 times: 2 so far, with this one; confirmed",
    );
    expect(late.rules).toContain("guard: the backend has shown that it recognises a living run");
    expect(late.so).toBe(
      "a sweep would do this with it: set it to FAILED, presumed (sandbox missing)",
    );
  });

  it("says what the guard holds a verdict for", async () => {
    await using world = await createWorld();
    const { id } = await world.seed({}, { status: "MISSING" });
    await world.seed({ overdueMs: -3_600_000 }, { status: "MISSING" });
    const { rules, so } = await sentences(world, id);
    expect(rules).toContain("guard: no sign of life from any run");
    expect(so).toMatch(/hold it back and leave it RUNNING \(no sign of life from any run\)/);
  });

  it("names the cause and the remedy where there is no answer", async () => {
    await using world = await createWorld();
    const { id } = await world.seed();
    const { now } = await explained(world, id, { AUTOMATION_SERVICE_KEY: "another" });
    expect(now.evidence).toMatchObject({
      kind: "unreachable",
      cause: "service_api mint_api_key: HTTP 401",
      remedy: "check AUTOMATION_SERVICE_KEY",
    });
    const { backend, rules, so } = await sentences(world, id, {
      AUTOMATION_SERVICE_KEY: "another",
    });
    expect(backend).toMatch(/^no usable answer: .*: check AUTOMATION_SERVICE_KEY$/);
    expect(rules.at(-1)).toMatch(
      /^no usable answer is no verdict, this is the first time; given up at/,
    );
    expect(so).toContain("leave it RUNNING, for want of an answer");
  });

  it("says at the end that a pause keeps all sweeps from it", async () => {
    await using world = await createWorld();
    const { id } = await world.seed();
    expect((await explain(world, id)).stdout).not.toContain("paused");
    await world.database.sql`
      UPDATE watchdog.leadership
      SET paused_until = now() + interval '1 hour', pause_reason = 'a move', paused_by = 'anna'`;
    const text = (await explain(world, id)).stdout.replace(/\s+/g, " ");
    expect(text).toMatch(
      /But nothing is swept: paused until \S+Z by anna: a move \(run-watchdog resume ends it\)/,
    );
  });

  it("shows what is remembered of a run, and the shield that hides it", async () => {
    await using world = await createWorld();
    const { id } = await world.seed({}, { status: "MISSING" });
    await world.sweep({ env: TWICE });
    await world.database.sql`
      UPDATE watchdog.suspicions SET held_since = now() - interval '90 seconds',
        unknown_times = 3, unknown_since = now() - interval '2 hours',
        unknown_cause = 'service_api mint_api_key: HTTP 401', error_times = 1,
        error_cause = 'status 500', error_retry_at = now() + interval '1 hour'`;
    const { stdout } = await explain(world, id, TWICE);
    const text = stdout.replace(/\s+/g, " ");
    expect(text).toMatch(/RUNNING, \d+ min( \d+ s)? past its deadline/);
    expect(text).toMatch(/shield [-\d: ]+Z \(in [^)]+\): set by this worker/);
    expect(text).toMatch(
      /next look with the first sweep after [-\d: ]+Z \(in (1 h|59 min \d+ s)\)/,
    );
    expect(text).toMatch(/suspected 1 time, the last one [^:]+ ago: sandbox missing/);
    expect(text).toMatch(/held since [-\d: ]+Z \(\d+ min \d+ s ago\)/);
    expect(text).toMatch(
      /unanswered 3 times in a row, since .*: service_api mint_api_key: HTTP 401/,
    );
    expect(text).toMatch(/failing 1 time, not tried before .*: status 500/);
  });

  it("tells the past of a run that has ended, without asking the backend", async () => {
    await using world = await createWorld();
    const { id } = await world.seed({}, { status: "MISSING" });
    await world.sweep({ env: TWICE });
    await world.database.sql`
      UPDATE watchdog.suspicions SET held_since = now() - interval '5 hours',
        presumed_last_at = now() - interval '1 hour'`;
    await world.sweep({ env: TWICE, overrideReason: "the cluster was rebuilt" });
    const standing = (await explain(world, id, TWICE)).stdout.replace(/\s+/g, " ");
    expect(standing).toContain("its sandbox is to be deleted, 0 attempts so far, next try");
    expect(standing).not.toContain("overturned");
    await world.database.sql`
      UPDATE automation_runs SET status = 'COMPLETED', error_detail = NULL WHERE id = ${id}`;
    const asked = world.host.requests.length;
    const { stdout } = await explain(world, id, TWICE);
    expect(world.host.requests.length).toBe(asked);
    const text = stdout.replace(/\s+/g, " ");
    expect(text).toContain("FAILED, presumed: sandbox missing");
    expect(text).toMatch(/ after its first deadline suspected 1 time, last 1 h before/);
    expect(text).toMatch(/held by the guard for 5 h/);
    expect(text).toContain("guard overridden: the cluster was rebuilt");
    expect(text).toContain("overturned: the run is COMPLETED by now");
    expect(text).toContain("its sandbox is not deleted any more");
  });

  it("says who else may have ended a run of which the journal knows nothing", async () => {
    await using world = await createWorld();
    const ends = [
      [{ status: "FAILED", errorDetail: "Timed out: a reason" }, "another watchdog ended the run"],
      [
        { status: "CANCELLED" },
        "a callback, another watchdog, a cancel request or somebody's hand ended the run",
      ],
      [{ status: "PENDING", startedAgoMs: null }, "no verdict so far"],
    ] as const;
    for (const [run, words] of ends) {
      const { id } = await world.seed(run);
      expect((await explain(world, id)).stdout.replace(/\s+/g, " ")).toContain(words);
    }
  });

  it("exits with 3 for a run that nobody knows, and still tells what the journal knows of one that is gone", async () => {
    await using world = await createWorld();
    const id = randomUUID();
    const unknown = await explain(world, id);
    expect(unknown).toMatchObject({ exitCode: 3, stdout: "" });
    expect(unknown.stderr).toContain(`there is no run ${id}`);
    const gone = await world.seed({}, { status: "MISSING" });
    await world.sweep();
    await world.database.sql`DELETE FROM automation_runs WHERE id = ${gone.id}`;
    const { exitCode, stdout } = await explain(world, gone.id);
    expect(exitCode).toBe(0);
    expect(stdout).toContain("gone from automation_runs, only the journal knows it");
    expect(stdout).toContain("FAILED, presumed: sandbox missing");
  });

  it("fits into 80 columns, whatever the ids hold, and obeys none of their control characters", async () => {
    await using world = await createWorld();
    const sandboxId = `\u001b[31m${"x".repeat(200)}\n::error::y`;
    const hostile = await world.seed({ sandboxId, bashCommandId: "\r\u0007z" });
    const odd = [
      hostile.id,
      (await world.seed({ timeoutAt: "-infinity" })).id,
      (await world.seed({ timeoutAt: "infinity" })).id,
      (await world.seed({ timeoutAt: null })).id,
      ...(await seedMixed(world)),
    ];
    for (const id of odd) {
      const { exitCode, stdout } = await explain(world, id);
      expect(exitCode).toBe(0);
      for (const line of stdout.split("\n")) expect(line.length, line).toBeLessThanOrEqual(80);
      expect(stdout.replaceAll("\n", "")).not.toMatch(/\p{Cc}/u);
      expect(stdout).not.toMatch(/^::/m);
    }
  });

  it("tells nothing that a tenant wrote", async () => {
    await using world = await createWorld();
    const bashCommandId = randomCommandId();
    const words = { stdout: "a tenant's words", stderr: "a tenant's words" };
    const outputs = [{ ...exitedWith(1, { bashCommandId }), ...words }];
    const { id } = await world.seed(
      { bashCommandId, errorDetail: "a tenant's words" },
      { outputs },
    );
    for (const json of [false, true]) {
      const args = ["explain", id, ...(json ? ["--json"] : [])];
      const { stdout } = await readerInProcess(world.env, args);
      expect(stdout).toContain(json ? '"exit_code":1' : "exit code 1");
      expect(stdout).not.toContain("words");
    }
  });

  it("says when Postgres is away", async () => {
    await using world = await createWorld();
    const { id } = await world.seed();
    const env = { DATABASE_URL: await away(world) };
    await expect(explain(world, id, env)).rejects.toThrow(StoreUnavailableError);
  });

  it("ends as a process with 0, 2, 3 and 69", async () => {
    await using world = await createWorld();
    const { id } = await world.seed({}, { status: "MISSING" });
    const known = await runOnce(world.env, ["explain", id, "--json"]);
    expect(known.code, known.stderr).toBe(0);
    expect(JSON.parse(known.stdout)).toMatchObject({ version: 1, runId: id });
    expect((await runOnce(world.env, ["explain", "17"])).code).toBe(2);
    const unknown = await runOnce(world.env, ["explain", randomUUID()]);
    expect(unknown.code).toBe(3);
    expect(unknown.stderr).toMatch(/^run-watchdog: there is no run /);
    const env = { ...world.env, DATABASE_URL: await away(world) };
    expect((await runOnce(env, ["explain", id])).code).toBe(69);
  });
});

type Env = Readonly<Record<string, string>>;

function explain(world: World, id: string, env: Env = {}) {
  return readerInProcess({ ...world.env, ...env }, ["explain", id]);
}

async function explained(world: World, id: string, env: Env = {}) {
  const { stdout } = await readerInProcess({ ...world.env, ...env }, ["explain", id, "--json"]);
  return JSON.parse(stdout);
}

/** What a person reads of what follows, without the breaks of lines. */
async function sentences(world: World, id: string, env: Env = {}) {
  const { stdout } = await explain(world, id, env);
  const text = stdout.replace(/\n {2,}(?!- )/g, " ");
  return {
    backend: /^the backend, asked now(?: \([^)]*\))?: (.*)$/m.exec(text)?.[1],
    rules: [...text.matchAll(/^ {2}- (.*)$/gm)].map(([, rule = ""]) => rule),
    so: /^So (.*)$/m.exec(text)?.[1],
  };
}

/** Runs that end by proof, end by presumption, live, and have nobody to ask. */
async function seedMixed(world: World): Promise<readonly string[]> {
  const bashCommandId = randomCommandId();
  const runs = [
    await world.seed({ bashCommandId }, { outputs: [exitedWith(0, { bashCommandId })] }),
    await world.seed({}, { status: "MISSING" }),
    await world.seed(),
    await world.seed({ sandboxId: null }),
    await world.seed({ startedAgoMs: 3_600_000 }),
  ];
  return runs.map(({ id }) => id);
}

async function contents({ database: { sql } }: World): Promise<unknown> {
  return await Promise.all([
    sql`SELECT t::text, t.xmin::text FROM automation_runs t ORDER BY 1`,
    sql`SELECT t::text, t.xmin::text FROM automations t ORDER BY 1`,
    sql`SELECT t::text, t.xmin::text FROM watchdog.leadership t`,
    sql`SELECT t::text, t.xmin::text FROM watchdog.suspicions t`,
    sql`SELECT t::text, t.xmin::text FROM watchdog.verdicts t`,
  ]);
}

async function away(world: World): Promise<string> {
  const url = new URL(world.database.url);
  url.hostname = "127.0.0.1";
  url.port = String(await freePort("127.0.0.1"));
  return url.href;
}
