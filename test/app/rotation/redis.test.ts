import { randomBytes, randomUUID } from "node:crypto";
import { Redis } from "ioredis";
import { describe, expect, it, vi } from "vitest";
import { LeaseUnavailableError } from "../../../src/watchdog/errors.ts";
import { startRedis } from "../../services/redis/redis.ts";
import type { RedisServer } from "../../services/redis/server.ts";
import { openWorker, type RotationWorker, warningAbout } from "../../support/process/rotation.ts";
import { SecretVolume } from "../../support/process/secret-volume.ts";

const WITHIN = { timeout: 20_000 };
const TTL_MS = 60_000;
const NO_DATABASE = {
  DATABASE_URL: "postgres://nobody@127.0.0.1:1/none",
  AUTOMATION_OPENHANDS_API_BASE_URL: "http://127.0.0.1:1",
  AUTOMATION_SERVICE_KEY: "service-key",
};

describe("a worker whose Redis password is changed", () => {
  it("renews its lease with the new one from REDIS_URL_FILE", async () => {
    await using world = await setup();
    const { lease } = world.worker.runtime.deps;
    const installation = randomUUID();
    await lease.acquire(installation, "w1/t", TTL_MS);
    await world.changePassword();
    await world.endConnections();
    const renewed = await vi.waitFor(() => lease.renew(installation, "w1/t", TTL_MS), WITHIN);
    expect(renewed).toBe(true);
    expect(world.worker.warnings()).toEqual([]);
  });

  it("has no lease store while the file has the old one, and has it once the new one is there", async () => {
    await using world = await setup();
    const { lease } = world.worker.runtime.deps;
    await lease.ping();
    const publish = await world.changePassword({ publish: false });
    await world.endConnections();
    await vi.waitFor(() => expect(lease.ping()).rejects.toThrow(/WRONGPASS/), WITHIN);
    await expect(lease.ping()).rejects.toThrow(LeaseUnavailableError);
    await publish();
    await lease.ping();
  });

  it("goes on with its connection as long as that lasts", async () => {
    await using world = await setup();
    const { lease } = world.worker.runtime.deps;
    await lease.ping();
    const before = await world.connections();
    await world.changePassword();
    await lease.ping();
    expect(await world.connections()).toEqual(before);
  });

  it("takes another user from the file as well", async () => {
    await using world = await setup();
    const { lease } = world.worker.runtime.deps;
    await lease.ping();
    await world.admin.call("acl", "setuser", "watchdog", "on", ">second", "~*", "+@all");
    await world.volume.swap({ REDIS_URL: urlOf(world.server, "watchdog", "second") });
    await world.endConnections();
    await vi.waitFor(() => lease.ping(), WITHIN);
    expect(await world.admin.client("LIST")).toMatch(/ name=run-watchdog .* user=watchdog /);
  });

  it("takes another server from the file as well", async () => {
    await using world = await setup();
    await using other = await startRedis();
    const { lease } = world.worker.runtime.deps;
    await lease.ping();
    await world.volume.swap({ REDIS_URL: other.url });
    await world.endConnections();
    const installation = randomUUID();
    await vi.waitFor(() => lease.ping(), WITHIN);
    await lease.acquire(installation, "w1/t", TTL_MS);
    await using there = open(other.url);
    expect(await there.client.keys("*")).toEqual([`watchdog:{${installation}}:lease`]);
    await other.kill();
    await expect(lease.ping()).rejects.toThrow(`at redis ${other.host}:${other.port} failed`);
  });
});

describe("a worker whose Redis file is broken", () => {
  const broken = [
    { name: "gone", secrets: {}, variable: "REDIS_URL_FILE" },
    { name: "empty", secrets: { REDIS_URL: "\n" }, variable: "REDIS_URL_FILE" },
    { name: "half-written", secrets: { REDIS_URL: "redis://:pass" }, variable: "REDIS_URL" },
  ];
  for (const { name, secrets, variable } of broken) {
    it(`connects as before while the file is ${name}, with one warning`, async () => {
      await using world = await setup();
      const { lease } = world.worker.runtime.deps;
      await world.volume.swap(secrets);
      await lease.ping();
      await world.endConnections();
      await vi.waitFor(() => lease.ping(), WITHIN);
      expect(world.worker.warnings()).toEqual([warningAbout(variable)]);
    });
  }

  it("takes up the file as soon as it is whole again", async () => {
    await using world = await setup();
    const { lease } = world.worker.runtime.deps;
    await world.volume.swap({});
    await lease.ping();
    await world.changePassword();
    await world.endConnections();
    await vi.waitFor(() => lease.ping(), WITHIN);
    expect(world.worker.warnings()).toHaveLength(1);
  });
});

interface RotationWorld extends AsyncDisposable {
  readonly server: RedisServer;
  readonly worker: RotationWorker;
  readonly volume: SecretVolume;
  readonly admin: Redis;
  /** In Redis, and in the file unless that is left for later. */
  changePassword(options?: { readonly publish: boolean }): Promise<() => Promise<void>>;
  /** Of the worker: their ids. */
  connections(): Promise<readonly string[]>;
  endConnections(): Promise<void>;
}

async function setup(): Promise<RotationWorld> {
  await using resources = new AsyncDisposableStack();
  const server = resources.use(await startRedis());
  const { client: admin } = resources.use(open(server.url));
  const password = randomBytes(12).toString("hex");
  await admin.config("SET", "requirepass", password);
  const volume = resources.use(
    await SecretVolume.create({ REDIS_URL: urlOf(server, "", password) }),
  );
  const worker = resources.use(openWorker({ ...NO_DATABASE, ...volume.env("REDIS_URL") }));
  const opened = resources.move();
  async function connections(): Promise<readonly string[]> {
    const lines = String(await admin.client("LIST")).split("\n");
    const own = lines.filter((line) => line.includes(" name=run-watchdog "));
    return own.map((line) => /^id=(\d+)/.exec(line)?.[1] ?? "?");
  }
  return {
    server,
    worker,
    volume,
    admin,
    connections,
    async changePassword({ publish } = { publish: true }) {
      const next = randomBytes(12).toString("hex");
      await admin.config("SET", "requirepass", next);
      const publishing = () => volume.swap({ REDIS_URL: urlOf(server, "", next) });
      if (publish) await publishing();
      return publishing;
    },
    async endConnections() {
      for (const id of await connections()) await admin.client("KILL", "ID", id);
    },
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

function urlOf({ host, port }: RedisServer, user: string, password: string): string {
  return `redis://${user}:${password}@${host}:${port}`;
}

function open(url: string): AsyncDisposable & { readonly client: Redis } {
  const client = new Redis(url);
  client.on("error", () => undefined);
  return { client, [Symbol.asyncDispose]: async () => client.disconnect() };
}
