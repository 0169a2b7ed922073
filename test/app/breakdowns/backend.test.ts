/** What an operator reads while the backend, or what leads to it, is broken. */
import { describe } from "vitest";
import { type HttpReply, json } from "../../fake-host/model.ts";
import { certificate } from "../../services/certificates.ts";
import { freePort } from "../../services/free-port.ts";
import { sendJson, startHttpServer } from "../../services/http-server.ts";
import { type Breakdown, expectWords } from "../../support/breakdowns/breakdown.ts";
import type { Env } from "../../support/breakdowns/told.ts";
import type { World } from "../../support/world/world.ts";

const LIMITS = "it limits calls: lower WATCHDOG_API_CONCURRENCY or raise its limit";
const LOOK_BEFORE = "see why its calls failed before: it is asked again within a minute";
const BASE_URL = "check AUTOMATION_OPENHANDS_API_BASE_URL";

describe("an operator of the backend", () => {
  expectWords([
    unanswered("the service key is wrong", {
      breaks: asking({ AUTOMATION_SERVICE_KEY: "wrong" }),
      cause: "service_api mint_api_key: HTTP 401",
      remedy: "check AUTOMATION_SERVICE_KEY",
    }),
    unanswered("the users' keys are refused", {
      breaks: answering("lookup", { status: 401 }),
      cause: "sandbox_api get_sandbox: HTTP 401",
      remedy:
        "the API refuses the users' keys that it handed out: check its authentication and AUTOMATION_OPENHANDS_API_BASE_URL",
    }),
    unanswered("nothing is there below the base URL", {
      breaks: async (world) => ({
        env: { AUTOMATION_OPENHANDS_API_BASE_URL: `${world.host.url}/nowhere` },
      }),
      cause: "service_api mint_api_key: HTTP 404",
      remedy: BASE_URL,
    }),
    unanswered("the base URL leads to a web page", {
      breaks: answering("mint", { status: 200, body: "<html></html>" }),
      cause: "service_api mint_api_key: answered with something that is not JSON",
      remedy: BASE_URL,
    }),
    unanswered("the API answers with something else", {
      breaks: answering("lookup", json(200, [{ hello: 1 }])),
      cause: "sandbox_api get_sandbox: answered with an unexpected shape",
      remedy: BASE_URL,
    }),
    unanswered("the API fails", {
      breaks: answering("lookup", { status: 500 }),
      cause: "sandbox_api get_sandbox: HTTP 500",
      remedy: "look into its own log",
    }),
    unanswered("the API limits calls", {
      breaks: answering("lookup", { status: 429 }),
      cause: "sandbox_api get_sandbox: HTTP 429",
      remedy: LIMITS,
    }),
    partlyAsked("the API asks for a pause", {
      reply: { status: 429, headers: { "retry-after": "300" } },
      asked: [3, "sandbox_api get_sandbox: HTTP 429", LIMITS],
      notAsked: [9, "sandbox_api asked for a pause", LIMITS],
      // As long as the pause lasts.
      health: ["the backend is not asked: sandbox_api asked for a pause"],
    }),
    partlyAsked("the API fails so often that its circuit breaker opens", {
      reply: { status: 500 },
      asked: [5, "sandbox_api get_sandbox: HTTP 500", "look into its own log"],
      notAsked: [7, "sandbox_api keeps failing, its circuit breaker is open", LOOK_BEFORE],
      health: [],
    }),
    unanswered("nobody listens at the base URL", {
      breaks: async () => ({
        env: {
          AUTOMATION_OPENHANDS_API_BASE_URL: `http://127.0.0.1:${await freePort("127.0.0.1")}`,
        },
      }),
      cause: "service_api mint_api_key: transport error: ECONNREFUSED",
      remedy: `${BASE_URL} and the network`,
    }),
    unanswered("the base URL says https and the server speaks none", {
      breaks: async (world) => ({
        env: { AUTOMATION_OPENHANDS_API_BASE_URL: world.host.url.replace("http:", "https:") },
      }),
      cause: "service_api mint_api_key: transport error: ERR_SSL_WRONG_VERSION_NUMBER",
      remedy: "check whether the server speaks TLS at this address, and http or https in its URL",
    }),
    unanswered("nobody trusts the certificate of the API", {
      breaks: async (_, resources) => {
        const tls = certificate("server");
        const api = resources.use(
          await startHttpServer((_request, response) => sendJson(response, 200, {}), tls),
        );
        return { env: { AUTOMATION_OPENHANDS_API_BASE_URL: api.origin } };
      },
      cause: "service_api mint_api_key: transport error: UNABLE_TO_VERIFY_LEAF_SIGNATURE",
      remedy: "trust its authority: NODE_EXTRA_CA_CERTS",
    }),
    unanswered("the agent hosts are too narrow", {
      breaks: asking({ WATCHDOG_AGENT_HOSTS: "elsewhere.example" }),
      cause:
        "agent_server bash_events_search: was not sent: the sandbox's agent server url is not allowed",
      remedy: "check WATCHDOG_AGENT_HOSTS",
    }),
    unanswered("the agent servers are dead", {
      breaks: async (world) => {
        const agentUrl = `http://127.0.0.1:${await freePort("127.0.0.1")}`;
        for (let count = 0; count < 2; count += 1) await world.seed({}, { agentUrl });
        return {};
      },
      seeds: false,
      cause: "agent_server bash_events_search: transport error: ECONNREFUSED",
      remedy: "check AUTOMATION_AGENT_SERVER_URL, or in the cloud that agent servers run",
    }),
    unanswered("the address of an own backend is wrong", {
      breaks: async (world) => ({
        env: {
          WATCHDOG_BACKEND: "http",
          WATCHDOG_HTTP_VERIFY_URL: `${world.host.url}/nowhere/{run_id}`,
        },
      }),
      cause: "verify_endpoint verify: HTTP 404",
      remedy: "check WATCHDOG_HTTP_VERIFY_URL",
    }),
  ]);
});

interface Unanswered {
  readonly breaks: Breakdown["breaks"];
  readonly cause: string;
  readonly remedy: string;
  /** Two stale runs; `false` where they are of its own. */
  readonly seeds?: boolean;
}

/** The same words everywhere: the database tells them. */
function unanswered(name: string, { breaks, cause, remedy, seeds = true }: Unanswered): Breakdown {
  const text = `2 x ${cause}, ${remedy}`;
  return {
    name,
    breaks: async (world, resources) => {
      for (let count = 0; seeds && count < 2; count += 1) await world.seed();
      return await breaks(world, resources);
    },
    tells: text,
    words: {
      once: [3, text],
      health: ["degraded", text],
      log: `warn sweep finished: ${text}`,
      status: [3, text],
      metrics: [
        `watchdog_unanswered_runs{cause="${cause}"} 2`,
        'watchdog_waiting_runs{state="unanswered"} 2',
        'watchdog_health{status="degraded"} 1',
      ],
    },
  };
}

interface PartlyAsked {
  readonly reply: HttpReply;
  readonly asked: Group;
  readonly notAsked: Group;
  readonly health: readonly string[];
}

type Group = readonly [count: number, cause: string, remedy: string];

/** Twelve runs, one after the other: what the first ones come to keeps the others from being asked about. */
function partlyAsked(name: string, { reply, asked, notAsked, health }: PartlyAsked): Breakdown {
  const [count, cause, remedy] = asked;
  const [left, why, look] = notAsked;
  const texts = [`${left} x not asked: ${why}, ${look}`, `${count} x ${cause}, ${remedy}`] as const;
  const told = texts.join("; ");
  return {
    name,
    breaks: async (world, resources) => {
      for (let run = 0; run < count + left; run += 1) await world.seed();
      await answering("lookup", reply)(world, resources);
      return { env: { WATCHDOG_CONCURRENCY: "1" } };
    },
    tells: told,
    words: {
      once: [3, told],
      health: ["degraded", ...texts, ...health],
      log: `warn sweep finished: ${told}`,
      status: [3, ...texts],
      metrics: [
        `watchdog_unanswered_runs{cause="${cause}"} ${count}`,
        `watchdog_unanswered_runs{cause="not asked: ${why}"} ${left}`,
        'watchdog_health{status="degraded"} 1',
      ],
    },
  };
}

function asking(env: Env): Breakdown["breaks"] {
  return async () => ({ env });
}

function answering(kind: "mint" | "lookup", reply: HttpReply): Breakdown["breaks"] {
  return async (world: World) => {
    world.host.intercept((request) => (request.kind === kind ? reply : undefined));
    return {};
  };
}
