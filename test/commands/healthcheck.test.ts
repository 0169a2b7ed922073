import { networkInterfaces } from "node:os";
import { PassThrough } from "node:stream";
import { describe, expect, it } from "vitest";
import { healthcheck } from "../../src/commands/healthcheck.ts";
import { parsePart } from "../../src/config/config.ts";
import { readHealth } from "../../src/config/health.ts";
import { type Answer, openHealthServer } from "../../src/io/health/server.ts";
import { freePort } from "../services/free-port.ts";

type Env = Readonly<Record<string, string>>;

const ALIVE: Answer = { status: 200, body: { status: "ok", reasons: [] } };
const STUCK: Answer = {
  status: 503,
  body: { status: "failing", reasons: ["the scheduler is stuck"] },
};

const hasIpv6 = Object.values(networkInterfaces())
  .flat()
  .some((found) => found?.address === "::1");

describe("healthcheck", () => {
  const hosts = ["", "0.0.0.0", "127.0.0.1", "127.0.0.2", " 127.0.0.1 ", "localhost", "0"];
  const ipv6 = hasIpv6 ? ["::", "::1", "0:0:0:0:0:0:0:1", "::0", "::ffff:127.0.0.1"] : [];
  for (const host of [...hosts, ...ipv6]) {
    it(`finds a worker whose WATCHDOG_HEALTH_HOST is "${host}"`, async () => {
      const env = { WATCHDOG_HEALTH_HOST: host, WATCHDOG_HEALTH_PORT: await anyPort() };
      await using _worker = await startAsWorker(env, ALIVE);
      expect(await check(env)).toEqual({ exitCode: 0, said: expect.stringContaining('"ok"') });
    });
  }

  it("reads blanks around the port as the worker does", async () => {
    const env = { WATCHDOG_HEALTH_PORT: ` ${await anyPort()}\t` };
    await using _worker = await startAsWorker(env, ALIVE);
    expect((await check(env)).exitCode).toBe(0);
  });

  it("is 1 with the reasons when a restart would help", async () => {
    const env = { WATCHDOG_HEALTH_PORT: await anyPort() };
    await using _worker = await startAsWorker(env, STUCK);
    const said = expect.stringContaining("the scheduler is stuck");
    expect(await check(env)).toEqual({ exitCode: 1, said });
  });

  it("is 1 when nobody answers", async () => {
    const port = await anyPort();
    const said = expect.stringContaining(`no answer from 127.0.0.1:${port}: `);
    const env = { WATCHDOG_HEALTH_HOST: "127.0.0.1", WATCHDOG_HEALTH_PORT: port };
    expect(await check(env)).toEqual({ exitCode: 1, said });
  });

  for (const port of ["off", "OFF", " off ", "0", " 0 "]) {
    it(`is 0 without asking where WATCHDOG_HEALTH_PORT is "${port}"`, async () => {
      const said = expect.stringContaining("no fixed port to ask");
      expect(await check({ WATCHDOG_HEALTH_PORT: port })).toEqual({ exitCode: 0, said });
    });
  }

  it("needs no other setting, and refuses what the worker refuses", async () => {
    await expect(check({ WATCHDOG_HEALTH_PORT: "http" })).rejects.toThrow(
      /^the configuration is not usable:\n {2}WATCHDOG_HEALTH_PORT must be/,
    );
  });
});

async function anyPort(): Promise<string> {
  return String(await freePort("127.0.0.1"));
}

/** Listens where a worker with this environment does. */
function startAsWorker(env: Env, answer: Answer) {
  const { config } = parsePart(env, () => "", readHealth);
  const { host, port } = config;
  return openHealthServer({ host, port: port ?? 0, routes: { "/livez": () => answer } });
}

async function check(env: Env): Promise<{ readonly exitCode: number; readonly said: string }> {
  const output = new PassThrough({ encoding: "utf8" });
  const exitCode = await healthcheck(
    {
      env,
      readFile: () => "",
      stdout: output,
      stderr: output,
    },
    new AbortController().signal,
  );
  return { exitCode, said: String(output.read()) };
}
