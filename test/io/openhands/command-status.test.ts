import { describe, expect, it, vi } from "vitest";
import { systemClock } from "../../../src/io/clock.ts";
import { CallBudget } from "../../../src/io/http/call.ts";
import { askForCommandStatus } from "../../../src/io/openhands/command-status.ts";
import { html, json, type Reply } from "../../fake-host/model.ts";
import { FakeClock } from "../../support/memory/fake-clock.ts";
import { bashCommand, COMMAND_ID, calm, openClient } from "../http/world.ts";
import { NOT_FOUND, RESTARTED, RUNNING, type StatusSetup, statusOf, UNKNOWN } from "./status.ts";

const OTHER_ID = "f".repeat(32);
/** Began ten minutes ago on a server that is one minute old. */
const YOUNG_SERVER = { uptimeS: 60 };

describe("askForCommandStatus", () => {
  it("finds a quiet command running that is younger than its server", async () => {
    const { evidence, asked } = await statusOf();
    expect(evidence).toEqual(RUNNING);
    expect(asked).toBe("events event server-info");
  });

  it("finds a command lost that the server does not know, and asks no more then", async () => {
    const { evidence, asked } = await statusOf({ sandbox: { commands: [{ id: OTHER_ID }] } });
    expect(evidence).toEqual(UNKNOWN);
    expect(asked).toBe("events event");
  });

  it("finds a quiet command lost that is older than its server", async () => {
    const { evidence, asked } = await statusOf({ sandbox: YOUNG_SERVER });
    expect(evidence).toEqual(RESTARTED);
    expect(asked).toBe("events event server-info");
  });

  it("finds a command with output lost that is older than its server", async () => {
    const outputs = [{ commandId: COMMAND_ID, exitCode: null, stdout: "step 1" }];
    const { evidence } = await statusOf({ sandbox: { ...YOUNG_SERVER, outputs } });
    expect(evidence).toEqual(RESTARTED);
  });

  it("finds a command running whose output is there and whose event was purged", async () => {
    const outputs = [{ commandId: COMMAND_ID, exitCode: null, stdout: "step 1" }];
    const { evidence, asked } = await statusOf({
      sandbox: { ...YOUNG_SERVER, outputs },
      answers: { event: NOT_FOUND },
    });
    expect(evidence).toEqual({ kind: "running", output: "partial" });
    expect(asked).toBe("events event");
  });

  it("asks no more when the search shows an exit, however young the server", async () => {
    const outputs = [{ commandId: COMMAND_ID, exitCode: 3 }];
    const { evidence, asked } = await statusOf({ sandbox: { ...YOUNG_SERVER, outputs } });
    expect(evidence).toMatchObject({ kind: "exited", exitCode: 3 });
    expect(asked).toBe("events");
  });

  const failedSearches: readonly (readonly [name: string, search: Reply, kind: string])[] = [
    ["is not answered", "reset", "unreachable"],
    ["is answered with 404", NOT_FOUND, "malformed"],
    ["is answered with 503", html(503, "Service Temporarily Unavailable"), "unreachable"],
    ["is answered with another shape", json(200, {}), "malformed"],
  ];
  for (const [name, events, kind] of failedSearches) {
    it(`asks no more when the search ${name}`, async () => {
      const { evidence, asked } = await statusOf({ sandbox: YOUNG_SERVER, answers: { events } });
      expect(evidence).toMatchObject({ kind });
      expect(asked).toBe("events");
    });
  }

  it("shows its key where it is asked for, and nowhere else", async () => {
    const { requests } = await statusOf();
    expect(requests.map(({ headers }) => headers["x-session-api-key"])).toEqual([
      "agent-key",
      "agent-key",
      undefined,
    ]);
  });

  it("sends no key when there is none", async () => {
    const { evidence, requests } = await statusOf({
      sessionKey: null,
      sandbox: { agentKey: null },
    });
    expect(evidence).toEqual(RUNNING);
    for (const { headers } of requests) expect(headers).not.toHaveProperty("x-session-api-key");
  });

  it("asks for the command by its id without dashes, in small letters", async () => {
    const commandId = "01234567-89AB-CDEF-0123-456789ABCDEF";
    const { evidence, requests } = await statusOf({ commandId, sandbox: YOUNG_SERVER });
    expect(evidence).toEqual(RESTARTED);
    expect(requests[1]?.path).toMatch(
      /\/api\/bash\/bash_events\/0123456789abcdef0123456789abcdef$/,
    );
  });

  for (const guarded of [true, false]) {
    it(`sends every question ${guarded ? "guarded" : "unguarded"} when the search is`, async () => {
      await using client = openClient();
      const request = vi.spyOn(client.http, "request").mockImplementation(async ({ operation }) => {
        const body = operation === "bash_events_search" ? { items: [] } : bashCommand();
        return { kind: "json", status: 200, body, dateMs: null };
      });
      const agentUrl = new URL("http://agent.test");
      const search = { agentUrl, sessionKey: null, commandId: COMMAND_ID, guarded };
      const budget = new CallBudget(30_000);
      await askForCommandStatus((call) => client.http.request(call, budget, calm()), search);
      expect(request.mock.calls.map(([call]) => call.guarded)).toEqual([guarded, guarded, guarded]);
    });
  }

  for (const commandId of ["../../server_info", `${COMMAND_ID}0`, COMMAND_ID.slice(1), "search"]) {
    it(`asks no more about "${commandId}", which no command is called`, async () => {
      const answers = { events: json(200, { items: [] }) };
      const { evidence, asked } = await statusOf({ commandId, answers });
      expect(evidence).toEqual(RUNNING);
      expect(asked).toBe("events");
    });
  }
});

const WHEN = "2026-08-22T10:00:00Z";

const knownOtherwise: readonly (readonly [name: string, answer: Reply])[] = [
  ["a page with 404", html(404, "Not Found")],
  ["a 404 without a body", { status: 404 }],
  ["a 404 that breaks off", { status: 404, body: '{"detail":"Not Fou' }],
  ["a 404 with other words", json(404, { detail: "Item not found" })],
  ["a 404 with other letters", json(404, { detail: "not found" })],
  ["a 404 with words in a list", json(404, { detail: ["Not Found"] })],
  ["a 404 that says more", json(404, { detail: "Not Found", path: "/" })],
  ["a 404 under another name", json(404, { error: "Not Found" })],
  ["a 404 with nothing in it", json(404, {})],
  ["a 404 with null", json(404, null)],
  ["a 404 with a list", json(404, [{ detail: "Not Found" }])],
  ["a 404 with a text", json(404, "Not Found")],
  ...[200, 301, 400, 401, 403, 410, 422, 429, 500, 502, 503].map(
    (status) => [`${status} in the words of a 404`, json(status, { detail: "Not Found" })] as const,
  ),
  ["a reset", "reset"],
  ["a page with 200", html(200, "It works!")],
  ["null", json(200, null)],
  ["another kind of event", json(200, bashCommand({ kind: "BashOutput" }))],
  ["another command", json(200, bashCommand({ id: OTHER_ID }))],
  ["a command without an id", json(200, bashCommand({ id: undefined }))],
  ["a command without a time", json(200, bashCommand({ timestamp: undefined }))],
  ["a time without a zone", json(200, bashCommand({ timestamp: WHEN.replace("Z", "") }))],
  ["a time in seconds", json(200, bashCommand({ timestamp: Date.parse(WHEN) / 1000 }))],
  ["a time that is none", json(200, bashCommand({ timestamp: "2026-13-22T10:00:00Z" }))],
];

describe("askForCommandStatus with an unclear answer about the command", () => {
  for (const [name, event] of knownOtherwise) {
    it(`leaves it running and asks no more after ${name}`, async () => {
      const status = await statusOf({ sandbox: YOUNG_SERVER, answers: { event } });
      expect(status).toMatchObject({ evidence: RUNNING, unauthorized: false });
      expect(status.asked).toBe("events event");
    });
  }
});

describe("askForCommandStatus and time", () => {
  for (const kind of ["event", "server-info"] as const) {
    it(`leaves the command running when the time is up during the ${kind} question`, async () => {
      const clock = new FakeClock();
      const { evidence, asked } = await statusOf({
        sandbox: YOUNG_SERVER,
        answers: { [kind]: "silence" },
        client: { clock },
        onRequest: (request) => {
          if (request.kind === kind) void clock.advance(30_000);
        },
      });
      expect(evidence).toEqual(RUNNING);
      expect(asked.endsWith(kind)).toBe(true);
    });

    it(`rejects with the reason when it is aborted during the ${kind} question`, async () => {
      const reason = new Error("the lease was lost");
      const controller = new AbortController();
      const setup: StatusSetup = {
        answers: { [kind]: "silence" },
        signal: controller.signal,
        onRequest: (request) => {
          if (request.kind === kind) controller.abort(reason);
        },
      };
      await expect(statusOf(setup)).rejects.toBe(reason);
    });
  }

  it("takes the time for all questions from one budget", async () => {
    let nowMs = 0;
    const clock = { ...systemClock, monotonicMs: () => (nowMs += 60_000) };
    const setup = { sandbox: YOUNG_SERVER, client: { clock } };
    const enough = await statusOf({ ...setup, budgetMs: 180_000 });
    expect(enough).toMatchObject({ evidence: RESTARTED, asked: "events event server-info" });
    const short = await statusOf({ ...setup, budgetMs: 120_000 });
    expect(short).toMatchObject({ evidence: RUNNING, asked: "events event" });
  });
});
