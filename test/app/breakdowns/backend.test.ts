/** What an operator reads while the backend or its settings are broken: the same words in report, log and health. */
import { describe, expect, it, vi } from "vitest";
import { createWatchdog, parseConfig } from "../../../src/index.ts";
import { onceInProcess } from "../../commands/once-in-process.ts";
import { type HttpReply, json } from "../../fake-host/model.ts";
import { freePort } from "../../services/free-port.ts";
import { parseDocument } from "../../support/process/report-document.ts";
import { type Logged, recordTo } from "../../support/stands/sweep-world.ts";
import { createWorld, exitedWith, randomCommandId, type World } from "../../support/world/world.ts";

type Env = Readonly<Record<string, string>>;

interface Breakdown {
  readonly name: string;
  /** Two stale runs, and what is broken. */
  readonly breaks: (world: World) => Promise<Env>;
  readonly exitCode: number;
  readonly waiting: object;
  /** Each of them said in report, log and health. */
  readonly causes: readonly string[];
  /** Only a real write shows it. */
  readonly untilWritten?: true;
}

const UNANSWERED = { exitCode: 3, waiting: { unanswered: 2, held: 0, failing: 0 } };
const BASE_URL = "check AUTOMATION_OPENHANDS_API_BASE_URL";
const GUARDED = { WATCHDOG_GUARD_MIN: "1", WATCHDOG_GUARD_PER_HOUR: "60" };

const BREAKDOWNS: readonly Breakdown[] = [
  {
    name: "the service key is wrong",
    breaks: asking({ AUTOMATION_SERVICE_KEY: "wrong" }),
    ...UNANSWERED,
    causes: ["2 x service_api mint_api_key: HTTP 401, check AUTOMATION_SERVICE_KEY"],
  },
  {
    name: "the users' keys are refused",
    breaks: answering("lookup", { status: 401 }),
    ...UNANSWERED,
    causes: [
      "2 x sandbox_api get_sandbox: HTTP 401, the API refuses the users' keys that it handed out: check its authentication and AUTOMATION_OPENHANDS_API_BASE_URL",
    ],
  },
  {
    name: "nothing is there below the base URL",
    breaks: async (world) => ({
      ...(await seedTwo(world)),
      AUTOMATION_OPENHANDS_API_BASE_URL: `${world.host.url}/nowhere`,
    }),
    ...UNANSWERED,
    causes: [`2 x service_api mint_api_key: HTTP 404, ${BASE_URL}`],
  },
  {
    name: "the base URL leads to a web page",
    breaks: answering("mint", { status: 200, body: "<html></html>" }),
    ...UNANSWERED,
    causes: [`2 x service_api mint_api_key: answered with something that is not JSON, ${BASE_URL}`],
  },
  {
    name: "the API answers with something else",
    breaks: answering("lookup", json(200, [{ hello: 1 }])),
    ...UNANSWERED,
    causes: [`2 x sandbox_api get_sandbox: answered with an unexpected shape, ${BASE_URL}`],
  },
  {
    name: "the API fails",
    breaks: answering("lookup", { status: 500 }),
    ...UNANSWERED,
    causes: ["2 x sandbox_api get_sandbox: HTTP 500, look into its own log"],
  },
  {
    name: "the API limits calls",
    breaks: answering("lookup", { status: 429 }),
    ...UNANSWERED,
    causes: [
      "2 x sandbox_api get_sandbox: HTTP 429, it limits calls: lower WATCHDOG_API_CONCURRENCY or raise its limit",
    ],
  },
  {
    name: "nobody listens at the base URL",
    breaks: async (world) => ({
      ...(await seedTwo(world)),
      AUTOMATION_OPENHANDS_API_BASE_URL: `http://127.0.0.1:${await freePort("127.0.0.1")}`,
    }),
    ...UNANSWERED,
    causes: [
      `2 x service_api mint_api_key: transport error: ECONNREFUSED, ${BASE_URL} and the network`,
    ],
  },
  {
    name: "the base URL says https and the server speaks none",
    breaks: async (world) => ({
      ...(await seedTwo(world)),
      AUTOMATION_OPENHANDS_API_BASE_URL: world.host.url.replace("http:", "https:"),
    }),
    ...UNANSWERED,
    causes: [
      "2 x service_api mint_api_key: transport error: ERR_SSL_WRONG_VERSION_NUMBER, check whether the server speaks TLS at this address, and http or https in its URL",
    ],
  },
  {
    name: "the agent hosts are too narrow",
    breaks: asking({ WATCHDOG_AGENT_HOSTS: "elsewhere.example" }),
    ...UNANSWERED,
    causes: [
      "2 x agent_server bash_events_search: was not sent: the sandbox's agent server url is not allowed, check WATCHDOG_AGENT_HOSTS",
    ],
  },
  {
    name: "the agent servers are dead",
    breaks: async (world) => {
      const agentUrl = `http://127.0.0.1:${await freePort("127.0.0.1")}`;
      for (let count = 0; count < 2; count += 1) await world.seed({}, { agentUrl });
      return {};
    },
    ...UNANSWERED,
    causes: [
      "2 x agent_server bash_events_search: transport error: ECONNREFUSED, check AUTOMATION_AGENT_SERVER_URL, or in the cloud that agent servers run",
    ],
  },
  {
    name: "the address of an own backend is wrong",
    breaks: async (world) => ({
      ...(await seedTwo(world)),
      WATCHDOG_BACKEND: "http",
      WATCHDOG_HTTP_VERIFY_URL: `${world.host.url}/nowhere/{run_id}`,
    }),
    ...UNANSWERED,
    causes: ["2 x verify_endpoint verify: HTTP 404, check WATCHDOG_HTTP_VERIFY_URL"],
  },
  {
    name: "the guard holds",
    breaks: async (world) => {
      for (let count = 0; count < 2; count += 1) await world.seed({}, { status: "MISSING" });
      return GUARDED;
    },
    exitCode: 4,
    waiting: { held: 2, unanswered: 0, failing: 0 },
    causes: ["2 held back by the guard, if they are dead run-watchdog once --override-guard"],
  },
  {
    name: "a trigger refuses the writes",
    breaks: async (world) => {
      for (let count = 0; count < 2; count += 1) {
        const bashCommandId = randomCommandId();
        await world.seed({ bashCommandId }, { outputs: [exitedWith(9, { bashCommandId })] });
      }
      await world.database.sql.unsafe(`
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql
          AS $$ BEGIN RAISE EXCEPTION 'tenant text'; END $$;
        CREATE TRIGGER refuse BEFORE UPDATE ON automation_runs FOR EACH ROW EXECUTE FUNCTION refuse()`);
      return {};
    },
    exitCode: 3,
    waiting: { failing: 2, held: 0, unanswered: 0 },
    untilWritten: true,
    causes: [
      "2 x ending a run: SQLSTATE P0001, raised by a trigger or function, check the triggers and policies of automation_runs",
    ],
  },
];

describe("an operator", () => {
  for (const { name, breaks, exitCode, waiting, causes, untilWritten } of BREAKDOWNS) {
    it(`reads the same in report, log and health, as often as they ask, when ${name}`, async () => {
      await using world = await createWorld();
      const env = { ...world.env, ...(await breaks(world)) };
      const message = causes.join("; ");
      const before = untilWritten ? [] : [["--dry-run"]];
      for (const args of [...before, [], [], ["--dry-run"]]) {
        const told = await onceInProcess(env, ["--output", "json", ...args]);
        const report = parseDocument(told.stdout);
        expect(report, args.join(" ")).toMatchObject({ exitCode, message, waiting });
        expect(told.exitCode).toBe(exitCode);
      }
      const { stdout } = await onceInProcess(env, []);
      expect(stdout).toMatch(/^nothing is due now: 2 [a-z ]+, next look in \d+ s\n/);
      const inOneLine = stdout.replaceAll(/\s+/g, " ");
      for (const cause of causes) expect(inOneLine).toContain(` ${cause} `);
      await expectWorkerSays(env, message, causes);
    });
  }
});

/** A worker that has made none of these sweeps. */
async function expectWorkerSays(env: Env, message: string, causes: readonly string[]) {
  const reasons = expect.arrayContaining([...causes]);
  const lines: Logged[] = [];
  const { config } = parseConfig({ ...env, WATCHDOG_SCHEDULE: "* * * * * *" }, () => "");
  await using watchdog = createWatchdog(config, { log: recordTo(lines) });
  const stop = new AbortController();
  const running = watchdog.run(stop.signal);
  try {
    await vi.waitFor(() => {
      const said = lines.find((line) => line.message === "sweep finished" && line.level === "warn");
      expect(said?.fields).toMatchObject({ message });
      const { body } = watchdog.answer("/health");
      expect(body).toMatchObject({ status: "degraded", reasons });
    }, 60_000);
  } finally {
    stop.abort();
    await running;
  }
}

async function seedTwo(world: World): Promise<Env> {
  await world.seed();
  await world.seed();
  return {};
}

function asking(env: Env): Breakdown["breaks"] {
  return async (world) => ({ ...(await seedTwo(world)), ...env });
}

function answering(kind: "mint" | "lookup", reply: HttpReply): Breakdown["breaks"] {
  return async (world) => {
    world.host.intercept((request) => (request.kind === kind ? reply : undefined));
    return await seedTwo(world);
  };
}
