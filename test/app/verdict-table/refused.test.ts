import { type HttpReply, html, json } from "../../fake-host/model.ts";
import { type Answer, type VerdictCase, verdictTable } from "../../support/world/verdict-cases.ts";
import { completed, undetermined } from "../../support/world/verdict-expected.ts";

const LOOKUP = { source: "sandbox_api", operation: "get_sandbox" } as const;
const SEARCH = { source: "agent_server", operation: "bash_events_search" } as const;
const MINT = { source: "service_api", operation: "mint_api_key" } as const;

verdictTable("a sweep whose keys are refused", [
  ...[401, 403].map(
    (status): VerdictCase => ({
      name: `${status} at the look-up that a new key does not heal leaves the run running`,
      answers: { lookup: json(status, { detail: "Invalid API key" }) },
      expected: undetermined({ ...LOOKUP, status }, "mint lookup mint lookup"),
    }),
  ),
  {
    name: "401 at the look-up that a new key heals counts for nothing",
    output: { exitCode: 0 },
    answers: { lookup: revokedAtFirst() },
    expected: completed("mint lookup mint lookup events delete"),
  },
  {
    name: "403 at the look-up that asking once more heals counts for nothing",
    output: { exitCode: 0 },
    answers: { lookup: first(json(403, { detail: "Forbidden" })) },
    expected: completed("mint lookup mint lookup events delete"),
  },
  {
    name: "a key that cannot be replaced leaves the run running, with the minting as the cause",
    answers: {
      mint: (_, nth) => (nth === 1 ? undefined : html(503, "Trouble")),
      lookup: json(401, { detail: "Invalid API key" }),
    },
    expected: undetermined({ ...MINT, kind: "server_error", status: 503 }, "mint lookup mint"),
  },
  ...[401, 403].map(
    (status): VerdictCase => ({
      name: `${status} at the agent server with the same session key on record leaves the run running`,
      answers: { events: json(status, { detail: "Unauthorized" }) },
      expected: undetermined({ ...SEARCH, status }, "mint lookup events lookup"),
    }),
  ),
  {
    name: "a session key that was rotated meanwhile is looked up and used",
    output: { exitCode: 0 },
    sandbox: { sessionKey: "new-key" },
    answers: { lookup: withOldKey() },
    expected: completed("mint lookup events lookup events delete"),
  },
  {
    name: "a session key that was rotated and is refused again leaves the run running",
    sandbox: { sessionKey: "new-key", agentKey: "yet-another" },
    answers: { lookup: withOldKey() },
    expected: undetermined({ ...SEARCH, status: 401 }, "mint lookup events lookup events"),
  },
]);

/** The user's key is no longer the one that was handed out a moment ago. */
function revokedAtFirst(): Answer {
  return ({ sandboxId }, nth, host) => {
    if (nth === 1) host.revokeKeys(host.sandbox(sandboxId ?? "")?.userId ?? "");
    return undefined;
  };
}

function first(reply: HttpReply): Answer {
  return (_, nth) => (nth === 1 ? reply : undefined);
}

/** The record as it was before the agent server was resumed. */
function withOldKey(): Answer {
  return ({ sandboxId: id, headers }, nth) => {
    if (nth > 1) return undefined;
    const url = `http://${headers.host}/agent/${id}`;
    const exposed_urls = [{ name: "AGENT_SERVER", url, port: 60_000 }];
    return json(200, [{ id, status: "RUNNING", session_api_key: "old-key", exposed_urls }]);
  };
}
