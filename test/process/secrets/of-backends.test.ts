/** The backends beside the cloud, with servers that repeat what they are asked: nothing of it gets out. */
import { describe, expect, it } from "vitest";
import { json, type Reply, type SeenRequest } from "../../fake-host/model.ts";
import { seedRuns } from "../../fake-host/seed.ts";
import { type ProcessEnv, runOnce } from "../../support/process/worker-process.ts";
import {
  leaksIn,
  markedSecret,
  ownTables,
  tenantText,
} from "../../support/world/marked-secrets.ts";
import { createWorld, type World } from "../../support/world/world.ts";

const SETTINGS = {
  LOG_LEVEL: "trace",
  WATCHDOG_CONCURRENCY: "1",
  WATCHDOG_CONFIRMATIONS: "1",
  WATCHDOG_GUARD_MIN: "100",
  WATCHDOG_CLEANUP_DELAY: "0s",
};
const OUTPUT = { stdout: tenantText("stdout"), stderr: tenantText("stderr") };
const DETAIL = { detail: tenantText("detail") };

type Answer = (request: SeenRequest) => Reply;

interface Case {
  readonly name: string;
  readonly env: (world: World) => ProcessEnv;
  /** One run for each. */
  readonly answers: readonly Answer[];
  readonly actions: readonly string[];
  /** In the questions' headers. */
  readonly sent: string;
}

const echo =
  (status: number): Answer =>
  ({ headers, path }) =>
    json(status, { ...DETAIL, headers, path, exception: tenantText("exception") });

const TOKEN = markedSecret("token");
const KEY = markedSecret("agent-server");

const cases: readonly Case[] = [
  {
    name: "the http backend",
    env: ({ host }) => ({
      WATCHDOG_BACKEND: "http",
      WATCHDOG_HTTP_VERIFY_URL: `${host.url}/verify/{run_id}?key=${markedSecret("query")}`,
      WATCHDOG_HTTP_CLEANUP_URL: `${host.url}/sandbox/{sandbox_id}?key=${markedSecret("query")}`,
      WATCHDOG_HTTP_TOKEN: TOKEN,
    }),
    answers: [
      () => json(200, { state: "succeeded", ...OUTPUT, ...DETAIL }),
      () => json(200, { state: "failed", ...OUTPUT, ...DETAIL }),
      () => json(200, { state: "failed", exit_code: 3, ...OUTPUT, ...DETAIL }),
      () => json(200, { state: "lost", ...DETAIL }),
      () => json(200, { state: "running", exit_code: 0, ...DETAIL }),
      () => json(200, { state: tenantText("state"), ...DETAIL }),
      echo(200),
      echo(401),
      echo(404),
      echo(500),
      ({ headers }) => ({
        status: 302,
        headers: { location: `http://127.0.0.1:1/${headers.authorization}` },
      }),
      () => ({ status: 200, body: `${TOKEN} ${tenantText("page")}` }),
    ],
    actions: ["completed", "failed", "undetermined"],
    sent: `Bearer ${TOKEN}`,
  },
  {
    name: "the agent-server backend",
    env: ({ host }) => ({
      AUTOMATION_AGENT_SERVER_URL: `${host.url}/agent/shared`,
      AUTOMATION_AGENT_SERVER_API_KEY: KEY,
    }),
    answers: [
      output({ exit_code: 0, ...OUTPUT }),
      output({ exit_code: 3, ...OUTPUT }),
      output({ exit_code: -1, ...OUTPUT }),
      output({ exit_code: null, ...OUTPUT }),
      output({ exit_code: tenantText("exit code"), ...OUTPUT }),
      output({ exit_code: 0, command_id: tenantText("command id"), ...OUTPUT }),
      echo(200),
      echo(401),
      echo(404),
      echo(503),
    ],
    actions: ["completed", "failed", "deferred", "undetermined"],
    sent: KEY,
  },
];

for (const { name, env, answers, actions, sent } of cases) {
  describe(name, () => {
    it(`tells nothing secret and nothing of a tenant's about runs of every kind in ${name}`, async () => {
      await using world = await createWorld();
      const runs = await seedRuns(
        world.database.sql,
        answers.map(() => ({ automation: { name: tenantText("automation name") } })),
      );
      world.host.intercept((request) => {
        if (request.method === "DELETE") return echo(500)(request);
        const asked = `${request.path} ${request.query.get("command_id__eq")}`;
        const index = runs.findIndex(
          ({ id, bashCommandId }) => asked.includes(id) || asked.includes(bashCommandId ?? "?"),
        );
        return answers[index]?.(request);
      });
      const { stdout, stderr } = await runOnce({ ...world.env, ...SETTINGS, ...env(world) }, [
        ...["once", "--output", "json"],
      ]);

      const report = JSON.parse(stdout);
      expect(report.runs).toHaveLength(answers.length);
      expect(report.counts).toMatchObject({ stale: answers.length, skipped: 0, errors: 0 });
      for (const action of actions) expect(report.counts[action], action).toBeGreaterThan(0);
      expect(JSON.stringify(world.host.requests.map(({ headers }) => headers))).toContain(sent);
      expect(leaksIn(stdout + stderr)).toEqual([]);
      for (const [table, rows] of await ownTables(world.database)) {
        expect(leaksIn(rows), table).toEqual([]);
      }
      const [row] = await world.database.sql`
        SELECT string_agg(error_detail, ' ') AS said FROM automation_runs`;
      expect(leaksIn(row?.["said"])).not.toEqual([]);
    });
  });
}

function output(event: object): Answer {
  return ({ query }) => {
    const command_id = query.get("command_id__eq");
    return json(200, { items: [{ kind: "BashOutput", id: "e1", command_id, ...event }] });
  };
}
