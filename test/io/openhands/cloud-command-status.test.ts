import { describe, expect, it } from "vitest";
import { sendJson } from "../../services/http-server.ts";
import {
  type CloudSetup,
  COMMAND_ID,
  calm,
  cloudWorld,
  inTurn,
  replying,
  runOf,
} from "../http/world.ts";
import { RESTARTED, RUNNING, UNKNOWN } from "./status.ts";

/** A search that shows no exit. */
const quiet = replying(200, { items: [] });
const unknown = replying(404, { detail: "Not Found" });

async function verify(routes: CloudSetup["routes"] = {}) {
  await using world = await cloudWorld({ routes: { search: quiet, ...routes } });
  const evidence = await world.backend.verify(runOf(), calm());
  const { mint, lookup, search, event, info } = {
    mint: world.calls("mint"),
    lookup: world.calls("lookup"),
    search: world.calls("search"),
    event: world.calls("event"),
    info: world.calls("info"),
  };
  return { evidence, asked: { mint, lookup, search, event, info }, world };
}

describe("openHandsCloudBackend.verify of a quiet command", () => {
  it("asks the agent server twice more, and the shared API not at all", async () => {
    const { evidence, asked, world } = await verify();
    expect(evidence).toEqual(RUNNING);
    expect(asked).toEqual({ mint: 1, lookup: 1, search: 1, event: 1, info: 1 });
    const [event, info] = world.server.requests.slice(-2);
    expect(event).toMatchObject({
      method: "GET",
      target: `/agent/api/bash/bash_events/${COMMAND_ID}`,
      headers: { "x-session-api-key": "session-1" },
    });
    expect(info).toMatchObject({ method: "GET", target: "/agent/server_info" });
    expect(info?.headers).not.toHaveProperty("x-session-api-key");
    expect(event?.headers).not.toHaveProperty("authorization");
    expect(info?.headers).not.toHaveProperty("authorization");
  });

  it("gives up a command that the agent server does not know", async () => {
    const { evidence, asked } = await verify({ event: unknown });
    expect(evidence).toEqual(UNKNOWN);
    expect(asked).toEqual({ mint: 1, lookup: 1, search: 1, event: 1, info: 0 });
  });

  it("gives up a command that is older than the agent server", async () => {
    const { evidence } = await verify({ info: replying(200, { uptime: 60, idle_time: 60 }) });
    expect(evidence).toEqual(RESTARTED);
  });

  for (const status of [401, 403]) {
    it(`does not look the sandbox up again when the question about the command meets ${status}`, async () => {
      const { evidence, asked } = await verify({ event: replying(status) });
      expect(evidence).toEqual(RUNNING);
      expect(asked).toEqual({ mint: 1, lookup: 1, search: 1, event: 1, info: 0 });
    });
  }

  it("asks the server that answered the search, with the key that it accepted", async () => {
    await using world = await cloudWorld({
      routes: {
        lookup: inTurn(
          (_, response) => sendJson(response, 200, [world.sandbox()]),
          (_, response) => {
            const exposed_urls = [{ name: "AGENT_SERVER", url: `${world.server.origin}/moved` }];
            const moved = { session_api_key: "session-2", exposed_urls };
            sendJson(response, 200, [world.sandbox(moved)]);
          },
        ),
        search: inTurn(replying(401), quiet),
      },
    });
    expect(await world.backend.verify(runOf(), calm())).toEqual(RUNNING);
    const seen = world.server.requests.slice(-3).map(({ target, headers }) => ({
      path: target.replace(/\?.*/, ""),
      key: headers["x-session-api-key"],
    }));
    expect(seen).toEqual([
      { path: "/moved/api/bash/bash_events/search", key: "session-2" },
      { path: `/moved/api/bash/bash_events/${COMMAND_ID}`, key: "session-2" },
      { path: "/moved/server_info", key: undefined },
    ]);
  });
});
