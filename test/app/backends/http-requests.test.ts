import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { json } from "../../fake-host/model.ts";
import type { RunSeed } from "../../fake-host/seed.ts";
import { createWorld, type World } from "../../support/world/world.ts";

const TOKEN = "s3cret-token";

describe("the http backend's requests", () => {
  let world: World;

  beforeEach(async () => {
    world = await createWorld();
    world.host.intercept(({ method }) =>
      method === "DELETE" ? { status: 204 } : json(200, { state: "succeeded" }),
    );
  });

  afterEach(async () => {
    await world[Symbol.asyncDispose]();
  });

  it("carry the token to verification and clean-up", async () => {
    await sweepOne({}, { WATCHDOG_HTTP_TOKEN: TOKEN, WATCHDOG_HTTP_CLEANUP_URL: cleanupUrl() });
    const seen = world.host.requests.map(({ method, headers }) => [method, headers.authorization]);
    expect(seen).toEqual([
      ["GET", `Bearer ${TOKEN}`],
      ["DELETE", `Bearer ${TOKEN}`],
    ]);
  });

  it("carry no authorization without a token", async () => {
    await sweepOne({}, { WATCHDOG_HTTP_CLEANUP_URL: cleanupUrl() });
    expect(world.host.requests).toHaveLength(2);
    for (const { headers } of world.host.requests) {
      expect(headers).not.toHaveProperty("authorization");
    }
  });

  it("fill every placeholder, percent-encoded", async () => {
    const ids = { sandboxId: "a/b c?#&%é", bashCommandId: "c+d=e" };
    const run = await sweepOne(ids, {
      WATCHDOG_HTTP_VERIFY_URL: `${world.host.url}/v/{run_id}/{sandbox_id}?c={bash_command_id}&r={run_id}`,
      WATCHDOG_HTTP_CLEANUP_URL: cleanupUrl(),
    });
    const [verify, cleanup] = world.host.requests;
    expect(verify?.path).toBe(`/v/${run.id}/a%2Fb%20c%3F%23%26%25%C3%A9`);
    expect(Object.fromEntries(verify?.query ?? [])).toEqual({ c: "c+d=e", r: run.id });
    expect(cleanup?.method).toBe("DELETE");
    expect(cleanup?.path).toBe("/cleanup/a%2Fb%20c%3F%23%26%25%C3%A9");
  });

  it("leave the place of a missing id empty", async () => {
    const run = await sweepOne(
      { sandboxId: null, bashCommandId: null },
      {
        WATCHDOG_HTTP_VERIFY_URL: `${world.host.url}/v/{run_id}?s={sandbox_id}&c={bash_command_id}`,
      },
    );
    expect(world.host.requests.map(({ path }) => path)).toEqual([`/v/${run.id}`]);
    expect(Object.fromEntries(world.host.requests[0]?.query ?? [])).toEqual({ s: "", c: "" });
  });

  it("are not sent for an id that would name another resource", async () => {
    const run = await sweepOne({ sandboxId: ".." }, { WATCHDOG_HTTP_CLEANUP_URL: cleanupUrl() });
    expect(world.host.requests).toEqual([]);
    const { status, status_detail } = await world.row(run.id);
    expect(status).toBe("RUNNING");
    expect(JSON.parse(status_detail ?? "")).toMatchObject({
      detail: "verify_endpoint verify was not sent: an id cannot be put into the url",
    });
  });

  it("delete nothing without a clean-up URL, and leave nothing to be deleted", async () => {
    const run = await sweepOne({}, {});
    expect(world.host.requests.map(({ method }) => method)).toEqual(["GET"]);
    expect((await world.row(run.id)).status).toBe("COMPLETED");
    expect(await world.database.sql`SELECT cleanup_state FROM watchdog.verdicts`).toEqual([
      { cleanup_state: "none" },
    ]);
  });

  const cleanupUrl = () => `${world.host.url}/cleanup/{sandbox_id}`;

  async function sweepOne(run: RunSeed, env: Readonly<Record<string, string>>) {
    const seeded = await world.seed(run);
    await world.sweep({
      env: {
        WATCHDOG_BACKEND: "http",
        WATCHDOG_HTTP_VERIFY_URL: `${world.host.url}/verify/{run_id}`,
        ...env,
      },
    });
    return seeded;
  }
});
