import { describe, expect, it } from "vitest";
import { systemClock } from "../../../src/io/clock.ts";
import { CallBudget } from "../../../src/io/http/call.ts";
import { askForCommandStatus } from "../../../src/io/openhands/command-status.ts";
import type { Evidence } from "../../../src/rules/model.ts";
import { html, json, type Reply } from "../../fake-host/model.ts";
import { sendJson, startHttpServer } from "../../services/http-server.ts";
import { bashCommand, bashOutput, COMMAND_ID, calm, openClient } from "../http/world.ts";
import { NOT_FOUND, RESTARTED, RUNNING, statusOf } from "./status.ts";

const DATE = "Sat, 22 Aug 2026 11:00:00 GMT";
/** An hour before that. */
const BEGAN = "2026-08-22T10:00:00.000000Z";

/** Seconds; the server was given nothing to do since it started, unless the case says otherwise. */
function serverInfo(uptime: unknown, idle_time = uptime): Reply {
  return json(200, { uptime, idle_time, version: "1.58.2" });
}

interface Clocks {
  readonly command?: string;
  /** When the newest output was stamped; without it there is no output. */
  readonly output?: string | null;
  readonly info: Reply;
  /** The Date of each answer, in the order of the questions. */
  readonly dates?: readonly [search: string | null, event: string | null, info: string | null];
}

async function evidenceOf(clocks: Clocks): Promise<Evidence> {
  return (await statusOf({ answers: answersOf(clocks) })).evidence;
}

function answersOf({ command, output, info, dates = [DATE, DATE, DATE] }: Clocks) {
  const items =
    output === undefined ? [] : [bashOutput({ exit_code: null, stdout: "x", timestamp: output })];
  return {
    events: dated(json(200, { items }), dates[0]),
    event: dated(json(200, bashCommand({ timestamp: command ?? BEGAN })), dates[1]),
    "server-info": dated(info, dates[2]),
  };
}

/** `null`: with a Date that is none. */
function dated(reply: Reply, date: string | null): Reply {
  if (typeof reply === "string") return reply;
  return { ...reply, headers: { ...reply.headers, date: date ?? "" } };
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

describe("askForCommandStatus with a server that started", () => {
  for (const { name, timestamp = BEGAN, uptime, lost } of ages) {
    it(`${lost ? "gives up a command" : "waits for a command"}: ${name}`, async () => {
      const evidence = await evidenceOf({ command: timestamp, info: serverInfo(uptime) });
      expect(evidence).toEqual(lost ? RESTARTED : RUNNING);
    });
  }

  it("does not measure with its own clock, however far that is off", async () => {
    for (const offByMs of [-86_400_000, 86_400_000]) {
      const clock = { ...systemClock, now: () => new Date(Date.now() + offByMs) };
      const { evidence } = await statusOf({ client: { clock } });
      expect(evidence).toEqual(RUNNING);
      const young = await statusOf({ client: { clock }, sandbox: { uptimeS: 60 } });
      expect(young.evidence).toEqual(RESTARTED);
    }
  });
});

const PARTIAL: Evidence = { kind: "running", output: "partial" };

interface ClockCase {
  readonly name: string;
  readonly clocks: Clocks;
  readonly expected: Evidence;
}

/** All servers started 119 s after the command, or say so. */
const UPTIME = 3481;
const YOUNG = serverInfo(UPTIME);
const A_SECOND_EARLIER = "Sat, 22 Aug 2026 10:59:59 GMT";
const LATER = "Sat, 22 Aug 2026 11:02:10 GMT";

const clockCases: readonly ClockCase[] = [
  {
    name: "gives up a command when all clocks agree",
    clocks: { info: YOUNG },
    expected: RESTARTED,
  },
  {
    name: "gives up a command when uptime and idle time have fractions",
    clocks: { info: serverInfo(3480.75, 3480.5) },
    expected: RESTARTED,
  },
  {
    name: "waits for a command whose server began to idle before it started: its clock was set back",
    clocks: { info: serverInfo(UPTIME, UPTIME + 1) },
    expected: RUNNING,
  },
  {
    name: "gives up a command whose server was last given work in its first minute",
    clocks: { info: serverInfo(UPTIME, UPTIME - 60) },
    expected: RESTARTED,
  },
  {
    name: "waits for a command whose server was given work after its first minute",
    clocks: { info: serverInfo(UPTIME, UPTIME - 61) },
    expected: RUNNING,
  },
  {
    name: "waits for a command whose server is at work right now",
    clocks: { info: serverInfo(UPTIME, 0) },
    expected: RUNNING,
  },
  {
    name: "waits for a command when the clock went back by a second before the server was asked",
    clocks: { info: YOUNG, dates: [DATE, DATE, A_SECOND_EARLIER] },
    expected: RUNNING,
  },
  {
    name: "waits for a command when the clock went back by a second before the command was asked for",
    clocks: { info: YOUNG, dates: [DATE, A_SECOND_EARLIER, DATE] },
    expected: RUNNING,
  },
  {
    name: "makes no server younger by a Date that jumped ahead before the server was asked",
    clocks: { info: serverInfo(3600), dates: [DATE, DATE, LATER] },
    expected: RUNNING,
  },
  {
    name: "makes no server younger by a Date that jumped ahead before the command was asked for",
    clocks: { info: serverInfo(3600), dates: [DATE, LATER, LATER] },
    expected: RUNNING,
  },
  {
    name: "gives up a command while the clock goes on between the answers",
    clocks: { info: YOUNG, dates: [A_SECOND_EARLIER, DATE, DATE] },
    expected: RESTARTED,
  },
  {
    name: "waits for a command when the search had no Date",
    clocks: { info: YOUNG, dates: [null, DATE, DATE] },
    expected: RUNNING,
  },
  {
    name: "waits for a command when the answer about it had no Date",
    clocks: { info: YOUNG, dates: [DATE, null, DATE] },
    expected: RUNNING,
  },
  {
    name: "waits for a command that is stamped later than every Date",
    clocks: { command: "2026-08-22T11:30:00Z", info: serverInfo(0) },
    expected: RUNNING,
  },
  {
    name: "waits for a command on a server that has been up since before time began",
    clocks: { info: serverInfo(1e300) },
    expected: RUNNING,
  },
  {
    name: "gives up a command whose last output came 61 s before its server",
    clocks: { output: "2026-08-22T10:00:58Z", info: YOUNG },
    expected: RESTARTED,
  },
  {
    name: "waits for a command whose last output came 60 s before its server",
    clocks: { output: "2026-08-22T10:00:59Z", info: YOUNG },
    expected: PARTIAL,
  },
  {
    name: "waits for a command that has written since its server started",
    clocks: { output: "2026-08-22T10:30:00Z", info: YOUNG },
    expected: PARTIAL,
  },
  {
    name: "gives up a command whose output bears the time of its start",
    clocks: { output: BEGAN, info: YOUNG },
    expected: RESTARTED,
  },
  {
    name: "waits for a command that has written before it began",
    clocks: { output: "2026-08-22T09:59:59.999Z", info: YOUNG },
    expected: PARTIAL,
  },
  {
    name: "waits for a command whose output bears no time",
    clocks: { output: null, info: YOUNG },
    expected: PARTIAL,
  },
  {
    name: "waits for a command whose output bears a time without a zone",
    clocks: { output: "2026-08-22T10:00:00", info: YOUNG },
    expected: PARTIAL,
  },
];

describe("askForCommandStatus with several clocks", () => {
  for (const { name, clocks, expected } of clockCases) {
    it(name, async () => {
      expect(await evidenceOf(clocks)).toEqual(expected);
    });
  }
});

/** The server's clock is the only one, and was set while the server ran. */
interface StepCase {
  readonly name: string;
  /** Seconds after the start of the server. */
  readonly commandAfterS: number;
  readonly steppedAfterS: number;
  readonly stepS: number;
  readonly askedAfterS: number;
  /** When it was given something to do since the command. */
  readonly workedAfterS?: number;
}

const steps: readonly StepCase[] = [
  ...[131, 200, 3600].map((askedAfterS) => ({
    name: `set back by 130 s before the command began, and asked ${askedAfterS} s after it started`,
    commandAfterS: 20,
    steppedAfterS: 10,
    stepS: -130,
    askedAfterS,
  })),
  {
    name: "set back by 130 s before the command began, and at work ever since",
    commandAfterS: 20,
    steppedAfterS: 10,
    stepS: -130,
    askedAfterS: 3600,
    workedAfterS: 3590,
  },
  ...[-86_400, -3600, -130, 130, 3600, 86_400].map((stepS) => ({
    name: `set by ${stepS} s after the command began`,
    commandAfterS: 20,
    steppedAfterS: 100,
    stepS,
    askedAfterS: 200,
  })),
  ...[-86_400, -3600, 130, 3600, 86_400].map((stepS) => ({
    name: `set by ${stepS} s before the command began`,
    commandAfterS: 20,
    steppedAfterS: 10,
    stepS,
    askedAfterS: 200,
  })),
];

describe("askForCommandStatus with a server that never restarted", () => {
  for (const { name, ...step } of steps) {
    it(`waits for the command when the clock was ${name}`, async () => {
      const { commandAfterS, askedAfterS, workedAfterS = commandAfterS } = step;
      const readS = (realS: number) => realS + (realS < step.steppedAfterS ? 0 : step.stepS);
      const at = (realS: number) => new Date(Date.parse(BEGAN) + readS(realS) * 1000);
      const uptime = readS(askedAfterS) - readS(0);
      const info = serverInfo(uptime, readS(askedAfterS) - readS(workedAfterS));
      const date = at(askedAfterS).toUTCString();
      const clocks = { command: at(commandAfterS).toISOString(), info };
      const evidence = await evidenceOf({ ...clocks, dates: [date, date, date] });
      expect(evidence).toEqual(RUNNING);
    });
  }
});

/** Each would say that the server is young, if it were read less strictly. */
const unclear: readonly (readonly [name: string, info: Reply, date?: string])[] = [
  ["no uptime", json(200, { idle_time: 0 })],
  ["an uptime of null", serverInfo(null, 0)],
  ["an uptime that is a text", serverInfo("0", 0)],
  ["an uptime that is a flag", serverInfo(false, 0)],
  ["a negative uptime", serverInfo(-1, 0)],
  ["a negative uptime and idle time", serverInfo(-1, -1)],
  ["an uptime beyond all numbers", { ...json(200, 0), body: '{"uptime":-1e999,"idle_time":0}' }],
  ["an uptime that is no number", { ...json(200, 0), body: '{"uptime":NaN,"idle_time":0}' }],
  ["no idle time", json(200, { uptime: 0 })],
  ["an idle time of null", serverInfo(0, null)],
  ["an idle time that is a text", serverInfo(0, "0")],
  ["a negative idle time", serverInfo(0, -1)],
  ["an idle time beyond all numbers", { ...json(200, 0), body: '{"uptime":0,"idle_time":1e999}' }],
  ["an empty Date", serverInfo(0), ""],
  ["a Date in another form", serverInfo(0), "2026-08-22T11:00:00Z"],
  ["a Date of no day", serverInfo(0), "Sat, 22 Foo 2026 11:00:00 GMT"],
  ["null", json(200, null)],
  ["a list", json(200, [{ uptime: 0, idle_time: 0 }])],
  ["a page", html(200, "It works!")],
  ["a body that breaks off", { status: 200, body: '{"uptime":0,"idle_time":0' }],
  ["a 404", NOT_FOUND],
  ...[301, 401, 403, 404, 422, 429, 500, 502, 503].map(
    (status) => [`${status} with an uptime`, json(status, { uptime: 0, idle_time: 0 })] as const,
  ),
  ["a reset", "reset"],
];

describe("askForCommandStatus with an unclear answer about the server", () => {
  for (const [name, info, date = DATE] of unclear) {
    it(`leaves the command running after ${name}`, async () => {
      const status = await statusOf({ answers: answersOf({ info, dates: [DATE, DATE, date] }) });
      expect(status).toMatchObject({ evidence: RUNNING, unauthorized: false });
      expect(status.asked).toBe("events event server-info");
    });
  }

  for (const hasDate of [true, false]) {
    it(`${hasDate ? "gives up" : "waits for"} a command ${hasDate ? "with" : "without"} a Date`, async () => {
      const info = { uptime: 60, idle_time: 60 };
      await using server = await startHttpServer(({ target }, response) => {
        response.sendDate = hasDate;
        if (target.includes("search")) return sendJson(response, 200, { items: [] });
        sendJson(response, 200, target.endsWith("/server_info") ? info : bashCommand());
      });
      await using client = openClient();
      const agentUrl = new URL(server.origin);
      const search = { agentUrl, sessionKey: null, commandId: COMMAND_ID, guarded: false };
      const budget = new CallBudget(30_000);
      const { evidence } = await askForCommandStatus(
        (call) => client.http.request(call, budget, calm()),
        search,
      );
      expect(evidence).toEqual(hasDate ? RESTARTED : RUNNING);
    });
  }
});
