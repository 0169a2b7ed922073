import { describe, expect, it } from "vitest";
import { genericHttpBackend } from "../../../src/io/generic-http/generic-http.ts";
import type { Secret } from "../../../src/io/http/call.ts";
import type { HttpClient } from "../../../src/io/http/client.ts";
import { agentServerBackend } from "../../../src/io/openhands/agent-server.ts";
import { openHandsCloudBackend } from "../../../src/io/openhands/cloud.ts";
import { SharedSlots } from "../../../src/watchdog/concurrency/shared-slots.ts";
import { type SeenRequest, sendJson, startHttpServer } from "../../services/http-server.ts";
import { calm, clock, openClient, runOf } from "./world.ts";

const TARGET = { sandboxId: "sandbox-1", userId: "user-1", orgId: "org-1" };
const BUDGET_MS = 30_000;
const LONGEST_REST_MS = 60_000;

interface Asking {
  readonly http: HttpClient;
  readonly origin: string;
  readonly secret: Secret<string>;
}

interface Call {
  readonly name: string;
  /** Makes the call; `told` is what becomes known of it. */
  ask(asking: Asking): Promise<unknown>;
  /** What came with a request as the secret. */
  secretIn(request: SeenRequest): string | undefined;
  /** Refused for good. */
  readonly told: (status: number) => object;
}

const calls: readonly Call[] = [
  {
    name: "the minting of a key",
    ask: ({ http, origin, secret }) =>
      openHandsCloudBackend({
        http,
        clock,
        baseUrl: origin,
        serviceKey: secret,
        concurrency: 1,
        verifyTimeoutMs: BUDGET_MS,
        agentHosts: [],
        agentSlots: new SharedSlots(1),
      }).verify(runOf(), calm()),
    secretIn: ({ headers }) => String(headers["x-service-api-key"]),
    told: refused("service_api mint_api_key"),
  },
  {
    name: "a question to the shared agent server",
    ask: ({ http, origin, secret }) =>
      agentServerBackend({
        http,
        clock,
        concurrency: 1,
        baseUrl: origin,
        apiKey: secret,
        verifyTimeoutMs: BUDGET_MS,
      }).verify(runOf(), calm()),
    secretIn: ({ headers }) => String(headers["x-session-api-key"]),
    told: refused("agent_server bash_events_search"),
  },
  {
    name: "a question to the verify URL",
    ask: (asking) => endpoint(asking).verify(runOf(), calm()),
    secretIn: bearer,
    told: refused("verify_endpoint verify"),
  },
  {
    name: "a call of the clean-up URL",
    ask: (asking) => endpoint(asking).cleanup(TARGET, calm()),
    secretIn: bearer,
    told: (status) => ({
      kind: "failed",
      failure: `verify_endpoint cleanup returned HTTP ${status}`,
    }),
  },
];

for (const call of calls) {
  describe(call.name, () => {
    for (const status of [401, 403]) {
      it(`${call.name} is made once more, with the new secret, after ${status}`, async () => {
        const { sent } = await askedWith(call, ["old", "new"], (secret) =>
          secret === "new" ? 500 : status,
        );
        expect(sent).toEqual(["old", "new"]);
      });

      it(`${call.name} is not made again after ${status} when the secret is the same`, async () => {
        const { sent, told } = await askedWith(call, ["old", "old"], () => status);
        expect(sent).toEqual(["old"]);
        expect(told).toMatchObject(call.told(status));
      });
    }

    it(`${call.name} is made twice at the most, when the new secret is refused as well`, async () => {
      const { sent, told } = await askedWith(call, ["old", "new", "newer"], () => 401);
      expect(sent).toEqual(["old", "new"]);
      expect(told).toMatchObject(call.told(401));
    });

    for (const status of [200, 400, 404, 429, 500]) {
      it(`${call.name} is left at that after ${status}, although the secret was replaced`, async () => {
        const { sent } = await askedWith(call, ["old", "new"], () => status);
        expect(sent).toEqual(["old"]);
      });
    }

    it(`${call.name} is not made again when the refusal has used up its time`, async () => {
      const { sent, told } = await askedWith(call, ["old", "new"], () => 401, BUDGET_MS);
      expect(sent).toEqual(["old"]);
      expect(JSON.stringify(told)).toContain(`no complete answer within ${BUDGET_MS} ms`);
    });

    it(`${call.name} is made again when the refusal has left it some time`, async () => {
      const { sent } = await askedWith(call, ["old", "new"], () => 401, BUDGET_MS / 2);
      expect(sent).toEqual(["old", "new"]);
    });
  });
}

describe("a call with a secret that was replaced before it", () => {
  it("is made again with the secret that another call has found meanwhile", async () => {
    await using server = await startHttpServer(async ({ headers }, response) => {
      if (bearer({ headers }) === "old") await server.arrived(2);
      sendJson(response, bearer({ headers }) === "new" ? 200 : 401, { state: "succeeded" });
    });
    await using client = openClient();
    const secret = replacedBy(["old", "new"]);
    const backend = endpoint({ http: client.http, origin: server.origin, secret });
    const told = await Promise.all([
      backend.verify(runOf(), calm()),
      backend.verify(runOf(), calm()),
    ]);
    expect(told).toMatchObject([{ exitCode: 0 }, { exitCode: 0 }]);
    expect(server.requests.map(bearer)).toEqual(["old", "old", "new", "new"]);
    await backend.verify(runOf(), calm());
    expect(server.requests.map(bearer).at(-1)).toBe("new");
    expect(server.requests).toHaveLength(5);
  });
});

describe("an API that is not asked any more because it refuses everybody", () => {
  it("is asked with the new secret at the next try", async () => {
    let nowMs = 0;
    await using server = await startHttpServer((request, response) => {
      if (request.method !== "POST") return sendJson(response, 200, [null]);
      const accepted = request.headers["x-service-api-key"] === "new";
      return sendJson(response, accepted ? 200 : 401, { key: "sk-oh-1" });
    });
    await using client = openClient();
    const file = { text: "old" };
    const backend = openHandsCloudBackend({
      http: client.http,
      clock: { ...clock, monotonicMs: () => nowMs },
      baseUrl: server.origin,
      serviceKey: readFrom(file),
      concurrency: 1,
      verifyTimeoutMs: BUDGET_MS,
      agentHosts: [],
      agentSlots: new SharedSlots(1),
    });
    const ask = (userId: string) => backend.verify(runOf({ userId }), calm());
    for (const user of ["1", "2", "3", "4", "5"]) {
      expect(await ask(user)).toMatchObject({ failure: { statusCode: 401 } });
    }
    file.text = "new";
    expect(await ask("6")).toMatchObject({ kind: "not-asked" });
    nowMs += LONGEST_REST_MS;
    expect(await ask("6")).toMatchObject({ kind: "gone" });
  });
});

/** One call to a server that answers with these statuses; its answers take `tookMs` by the client's clock. */
async function askedWith(
  call: Call,
  values: readonly [string, ...string[]],
  statusFor: (secret: string | undefined) => number,
  tookMs = 0,
) {
  let nowMs = 0;
  await using server = await startHttpServer((request, response) => {
    nowMs += tookMs;
    sendJson(response, statusFor(call.secretIn(request)), {});
  });
  await using client = openClient({ clock: { ...clock, monotonicMs: () => nowMs } });
  const secret = replacedBy(values);
  const told = await call.ask({ http: client.http, origin: server.origin, secret });
  return { told, sent: server.requests.map(call.secretIn) };
}

/** Each reading finds the next of the values, the last one again and again. */
function replacedBy(values: readonly [string, ...string[]]): Secret<string> {
  let at = 0;
  const secret = () => values[at] ?? values[0];
  return {
    get current() {
      return secret();
    },
    refresh() {
      at = Math.min(at + 1, values.length - 1);
      return secret();
    },
  };
}

function readFrom(file: { readonly text: string }): Secret<string> {
  let current = file.text;
  return {
    get current() {
      return current;
    },
    refresh() {
      current = file.text;
      return current;
    },
  };
}

function endpoint({ http, origin, secret }: Asking) {
  return genericHttpBackend({
    http,
    clock,
    concurrency: 2,
    verifyUrl: `${origin}/runs/{run_id}`,
    cleanupUrl: `${origin}/sandboxes/{sandbox_id}`,
    token: secret,
    verifyTimeoutMs: BUDGET_MS,
  });
}

function bearer({ headers }: Pick<SeenRequest, "headers">): string | undefined {
  return headers.authorization?.replace(/^Bearer /, "");
}

function refused(who: string) {
  return (status: number) => ({
    kind: "unreachable",
    failure: { statusCode: status, message: `${who} returned HTTP ${status}` },
  });
}
