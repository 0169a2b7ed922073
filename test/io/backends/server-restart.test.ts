import { describe, expect, it } from "vitest";
import { html, json, type Reply } from "../../../src/demo/fake-host-model.ts";
import { CallBudget } from "../../../src/io/backends/call-budget.ts";
import { askForFate } from "../../../src/io/backends/command-fate.ts";
import { systemClock } from "../../../src/io/clock.ts";
import { sendJson, startHttpServer } from "../../support/http-server.ts";
import { fateOf, NOT_FOUND, RESTARTED, RUNNING } from "./fate.ts";
import { bashCommand, COMMAND_ID, calm, openClient } from "./world.ts";

const DATE = "Sat, 22 Aug 2026 11:00:00 GMT";
/** An hour before that. */
const BEGAN = "2026-08-22T10:00:00.000000Z";

function serverInfo(uptime: unknown, date = DATE): Reply {
  const reply = json(200, { uptime, idle_time: 0, version: "1.43.1" });
  return { ...reply, headers: { ...reply.headers, date } };
}

async function evidenceOf(timestamp: string, info: Reply) {
  const commands = [{ id: COMMAND_ID, timestamp }];
  const { evidence } = await fateOf({
    sandbox: { commands },
    answers: { "server-info": info },
  });
  return evidence;
}

interface AgeCase {
  readonly name: string;
  readonly timestamp?: string;
  /** Seconds; the server started that long before `DATE`. */
  readonly uptime: number;
  readonly lost: boolean;
}

const ages: readonly AgeCase[] = [
  { name: "a day before the command", uptime: 90_000, lost: false },
  { name: "in the second in which the command began", uptime: 3600, lost: false },
  { name: "60 s after the command", uptime: 3540, lost: false },
  {
    name: "60.001 s after the command",
    timestamp: "2026-08-22T09:59:59.999000Z",
    uptime: 3540,
    lost: true,
  },
  { name: "61 s after the command", uptime: 3539, lost: true },
  { name: "right now", uptime: 0, lost: true },
  {
    name: "60 s after a command that was stamped in another zone",
    timestamp: "2026-08-22T12:00:00+02:00",
    uptime: 3540,
    lost: false,
  },
  {
    name: "61 s after a command that was stamped in another zone",
    timestamp: "2026-08-22T12:00:00+02:00",
    uptime: 3539,
    lost: true,
  },
  {
    name: "60 s after a command that was stamped in whole seconds",
    timestamp: "2026-08-22T10:00:00Z",
    uptime: 3540,
    lost: false,
  },
  {
    name: "before a command that begins only after the answer",
    timestamp: "2026-08-22T12:00:00Z",
    uptime: 0,
    lost: false,
  },
];

describe("askForFate with a server that started", () => {
  for (const { name, timestamp = BEGAN, uptime, lost } of ages) {
    it(`${lost ? "gives up a command" : "waits for a command"}: ${name}`, async () => {
      expect(await evidenceOf(timestamp, serverInfo(uptime))).toEqual(lost ? RESTARTED : RUNNING);
    });
  }

  it("does not measure with its own clock, however far that is off", async () => {
    for (const offByMs of [-86_400_000, 86_400_000]) {
      const clock = { ...systemClock, now: () => new Date(Date.now() + offByMs) };
      const { evidence } = await fateOf({ client: { clock } });
      expect(evidence).toEqual(RUNNING);
      const young = await fateOf({ client: { clock }, sandbox: { uptimeS: 60 } });
      expect(young.evidence).toEqual(RESTARTED);
    }
  });

  it("does not measure with another answer's Date", async () => {
    const event = json(200, bashCommand({ timestamp: BEGAN }));
    const late = { ...event.headers, date: "Sat, 22 Aug 2026 23:00:00 GMT" };
    const answers = { event: { ...event, headers: late }, "server-info": serverInfo(3600) };
    expect((await fateOf({ answers })).evidence).toEqual(RUNNING);
  });
});

/** Each would say that the server is young, if it were read less strictly. */
const unclear: readonly (readonly [name: string, info: Reply])[] = [
  ["no uptime", serverInfo(undefined)],
  ["an uptime of null", serverInfo(null)],
  ["an uptime that is a text", serverInfo("0")],
  ["an uptime that is a flag", serverInfo(false)],
  ["a negative uptime", serverInfo(-1)],
  ["an uptime beyond all numbers", { ...json(200, 0), body: '{"uptime":-1e999}' }],
  ["an empty Date", serverInfo(0, "")],
  ["a Date in another form", serverInfo(0, "2026-08-22T11:00:00Z")],
  ["a Date of no day", serverInfo(0, "Sat, 22 Foo 2026 11:00:00 GMT")],
  ["null", json(200, null)],
  ["a list", json(200, [{ uptime: 0 }])],
  ["a page", html(200, "It works!")],
  ["a body that breaks off", { status: 200, body: '{"uptime":0' }],
  ["a 404", NOT_FOUND],
  ...[301, 401, 403, 404, 422, 429, 500, 502, 503].map(
    (status) => [`${status} with an uptime`, json(status, { uptime: 0 })] as const,
  ),
  ["a reset", "reset"],
];

describe("askForFate with an unclear answer about the server", () => {
  for (const [name, info] of unclear) {
    it(`leaves the command running after ${name}`, async () => {
      const sandbox = { commands: [{ id: COMMAND_ID, timestamp: BEGAN }] };
      const fate = await fateOf({ sandbox, answers: { "server-info": info } });
      expect(fate).toMatchObject({ evidence: RUNNING, unauthorised: false });
      expect(fate.asked).toBe("events event server-info");
    });
  }

  for (const dated of [true, false]) {
    it(`${dated ? "gives up" : "waits for"} a command ${dated ? "with" : "without"} a Date`, async () => {
      await using server = await startHttpServer(({ target }, response) => {
        response.sendDate = dated;
        if (target.includes("search")) return sendJson(response, 200, { items: [] });
        sendJson(response, 200, target.endsWith("/server_info") ? { uptime: 60 } : bashCommand());
      });
      await using client = openClient();
      const agentUrl = new URL(server.origin);
      const search = { agentUrl, sessionKey: null, commandId: COMMAND_ID, guarded: false };
      const budget = new CallBudget(30_000);
      const { evidence } = await askForFate(client.http, search, budget, calm());
      expect(evidence).toEqual(dated ? RESTARTED : RUNNING);
    });
  }
});
