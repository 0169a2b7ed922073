import { describe, expect, it } from "vitest";
import { remedyFor } from "../../src/rules/remedy.ts";

const BASE_URL = "AUTOMATION_OPENHANDS_API_BASE_URL";

describe("remedyFor", () => {
  it.each([
    ["service_api mint_api_key: HTTP 401", "check AUTOMATION_SERVICE_KEY"],
    ["service_api mint_api_key: HTTP 403", "check AUTOMATION_SERVICE_KEY"],
    ["service_api mint_api_key: HTTP 404", BASE_URL],
    ["service_api mint_api_key: HTTP 302", BASE_URL],
    ["service_api mint_api_key: answered with something that is not JSON", BASE_URL],
    ["service_api mint_api_key: answered without a usable key", BASE_URL],
    [
      "service_api mint_api_key: was not sent: the automation has no user id or no org id",
      "a user and an organization",
    ],
    ["sandbox_api get_sandbox: HTTP 401", "refuses the users' keys"],
    ["sandbox_api get_sandbox: HTTP 403", "refuses the users' keys"],
    ["sandbox_api get_sandbox: HTTP 404", BASE_URL],
    ["sandbox_api get_sandbox: answered with something that is not JSON", BASE_URL],
    ["sandbox_api get_sandbox: answered with an unexpected shape", BASE_URL],
    ["sandbox_api get_sandbox: transport error: ECONNREFUSED", BASE_URL],
    ["sandbox_api get_sandbox: transport error: ENOTFOUND", BASE_URL],
    ["sandbox_api get_sandbox: timed out: no connection", BASE_URL],
    ["sandbox_api get_sandbox: transport error: SELF_SIGNED_CERT_IN_CHAIN", "NODE_EXTRA_CA_CERTS"],
    [
      "sandbox_api get_sandbox: transport error: UNABLE_TO_VERIFY_LEAF_SIGNATURE",
      "NODE_EXTRA_CA_CERTS",
    ],
    [
      "sandbox_api get_sandbox: transport error: DEPTH_ZERO_SELF_SIGNED_CERT",
      "NODE_EXTRA_CA_CERTS",
    ],
    ["sandbox_api get_sandbox: transport error: CERT_HAS_EXPIRED", "certificate"],
    ["sandbox_api get_sandbox: transport error: ERR_TLS_CERT_ALTNAME_INVALID", "certificate"],
    ["sandbox_api get_sandbox: transport error: ERR_SSL_WRONG_VERSION_NUMBER", "TLS"],
    ["sandbox_api get_sandbox: transport error: EPROTO", "TLS"],
    ["sandbox_api get_sandbox: timed out: no complete answer", "WATCHDOG_VERIFY_TIMEOUT"],
    ["sandbox_api get_sandbox: HTTP 429", "WATCHDOG_API_CONCURRENCY"],
    ["sandbox_api get_sandbox: HTTP 500", "its own log"],
    ["sandbox_api get_sandbox: HTTP 503", "its own log"],
    ["sandbox_api get_sandbox: HTTP 504", "in time"],
    [
      "agent_server bash_events_search: was not sent: the sandbox's agent server url is not allowed",
      "check WATCHDOG_AGENT_HOSTS",
    ],
    [
      "agent_server bash_events_search: was not sent: the address is not allowed",
      "on this host, its link or a metadata service",
    ],
    ["agent_server bash_events_search: HTTP 401", "AUTOMATION_AGENT_SERVER_API_KEY"],
    ["agent_server bash_events_search: HTTP 404", "AUTOMATION_AGENT_SERVER_URL"],
    [
      "agent_server bash_events_search: transport error: ECONNREFUSED",
      "AUTOMATION_AGENT_SERVER_URL",
    ],
    ["not asked: sandbox_api asked for a pause", "WATCHDOG_API_CONCURRENCY"],
    ["not asked: sandbox_api asked for a pause for one owner", "WATCHDOG_API_CONCURRENCY"],
    ["not asked: sandbox_api keeps failing, its circuit breaker is open", "why its calls failed"],
    ["not asked: service_api keeps refusing one owner", "why its calls failed"],
    ["verify_endpoint verify: HTTP 401", "check WATCHDOG_HTTP_TOKEN"],
    ["verify_endpoint verify: HTTP 404", "check WATCHDOG_HTTP_VERIFY_URL"],
    [
      "verify_endpoint verify: answered with something that is not JSON",
      "WATCHDOG_HTTP_VERIFY_URL",
    ],
    [
      "verify_endpoint verify: was not sent: an id cannot be put into the url",
      "WATCHDOG_HTTP_VERIFY_URL",
    ],
    ["verify_endpoint verify: transport error: ECONNREFUSED", "WATCHDOG_HTTP_VERIFY_URL"],
  ])("knows what to do about %s", (cause, remedy) => {
    expect(remedyFor(cause)).toContain(remedy);
  });

  it.each([
    ["ending a run: SQLSTATE P0001, raised by a trigger or function", "triggers and policies"],
    ["ending a run: SQLSTATE 42501, in a trigger, function or policy", "triggers and policies"],
    ["the write had no effect (trigger or row security)", "triggers and policies"],
    ['ending a run: SQLSTATE 23514, constraint "c"', "constraints"],
  ])("knows what to do when a run cannot be handled: %s", (cause, remedy) => {
    expect(remedyFor(cause)).toContain(remedy);
  });

  it.each([
    "no usable answer",
    "",
    "backend verify: gave no usable answer",
    "agent_server bash_events_search: answered about another command",
    "service_api",
  ])("knows nothing about %j", (cause) => {
    expect(remedyFor(cause)).toBeNull();
  });
});
