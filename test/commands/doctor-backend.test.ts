import { describe, expect, it } from "vitest";
import { type CertificateName, certificate, trustAuthority } from "../services/certificates.ts";
import { freePort } from "../services/free-port.ts";
import { sendJson, startHttpServer } from "../services/http-server.ts";
import { createWorld, exitedWith, randomCommandId } from "../support/world/world.ts";
import { doctorInProcess } from "./doctor-in-process.ts";

describe("doctor on the cloud backend", () => {
  it("follows one run from the key to its agent server", async () => {
    await using world = await createWorld();
    const { id } = await world.seed();
    const { of, exitCode } = await doctorInProcess(world.env);
    expect(exitCode).toBe(0);
    expect(of("backend").result).toBe("ok");
    expect(of("backend clock").result).toBe("ok");
    expect(of("service key").result).toBe("ok");
    expect(of("run look-up").found).toBe(`run ${id}: its command runs`);
    expect(of("agent hosts").result).toBe("ok");
    expect((await world.row(id)).status).toBe("RUNNING");
  });

  it("never shows what a run printed", async () => {
    await using world = await createWorld();
    const bashCommandId = randomCommandId();
    const output = {
      ...exitedWith(3, { bashCommandId }),
      stdout: "tenant text",
      stderr: "tenant text",
    };
    await world.seed({ bashCommandId }, { outputs: [output] });
    const { of, document } = await doctorInProcess(world.env);
    expect(of("run look-up").found).toContain("its command exited with 3");
    expect(JSON.stringify(document)).not.toContain("tenant");
  });

  it("warns that nothing was tried where there is no run", async () => {
    await using world = await createWorld();
    const { of } = await doctorInProcess(world.env);
    expect(of("run look-up").result).toBe("warning");
    expect(world.host.traffic.requests.filter(({ kind }) => kind === "mint")).toEqual([]);
  });

  it("asks about no run where the host's tables cannot be used, and sends nobody to migrate", async () => {
    await using world = await createWorld();
    await world.database.sql`ALTER TABLE automation_runs DROP COLUMN bash_command_id`;
    const { of } = await doctorInProcess(world.env);
    expect(of("host tables").result).toBe("failure");
    expect(of("run look-up")).toMatchObject({ result: "skipped", found: 'needs "host tables"' });
  });

  it("fails for a wrong service key", async () => {
    await using world = await createWorld();
    await world.seed();
    const { of, exitCode } = await doctorInProcess({ ...world.env, AUTOMATION_SERVICE_KEY: "no" });
    expect(exitCode).toBe(1);
    expect(of("service key")).toMatchObject({
      result: "failure",
      found: "service_api mint_api_key: HTTP 401",
      remedies: ["check AUTOMATION_SERVICE_KEY"],
    });
    expect(of("run look-up")).toMatchObject({ result: "skipped", found: 'needs "service key"' });
  });

  it("fails for users' keys that are refused", async () => {
    await using world = await createWorld();
    await world.seed();
    world.host.intercept(({ kind }) => (kind === "lookup" ? { status: 401 } : undefined));
    const { of } = await doctorInProcess(world.env);
    expect(of("service key").result).toBe("ok");
    expect(of("run look-up").result).toBe("failure");
    expect(of("agent hosts").result).toBe("skipped");
  });

  it("fails for agent hosts that are narrower than what the API hands out", async () => {
    await using world = await createWorld();
    await world.seed();
    const narrow = { ...world.env, WATCHDOG_AGENT_HOSTS: "runtime.example" };
    expect((await doctorInProcess(narrow)).of("agent hosts")).toMatchObject({
      result: "failure",
      remedies: ["check WATCHDOG_AGENT_HOSTS"],
    });
    const wide = { ...world.env, WATCHDOG_AGENT_HOSTS: "127.0.0.1" };
    expect((await doctorInProcess(wide)).of("agent hosts").result).toBe("ok");
  });

  it("warns of one agent server that does not answer: others may", async () => {
    await using world = await createWorld();
    await world.seed();
    world.host.intercept(({ kind }) => (kind === "events" ? { status: 503 } : undefined));
    const { of, exitCode } = await doctorInProcess(world.env);
    expect(exitCode).toBe(0);
    expect(of("agent hosts").result).toBe("warning");
  });

  it("warns that agent hosts could not be compared when the sandbox is gone", async () => {
    await using world = await createWorld();
    await world.seed({}, { status: "MISSING" });
    const narrow = { ...world.env, WATCHDOG_AGENT_HOSTS: "runtime.example" };
    const { of } = await doctorInProcess(narrow);
    expect(of("run look-up").result).toBe("ok");
    expect(of("agent hosts").result).toBe("warning");
    expect((await doctorInProcess(world.env)).of("agent hosts").result).toBe("ok");
  });
});

describe("doctor on whoever answers at the backend's address", () => {
  const env = { DATABASE_URL: "postgres://u:pw@127.0.0.1:1/x", AUTOMATION_SERVICE_KEY: "k" };
  const at = (url: string) => ({ ...env, AUTOMATION_OPENHANDS_API_BASE_URL: url });
  const html = { "content-type": "text/html; charset=utf-8" };

  it("fails when nobody does", async () => {
    const { of } = await doctorInProcess(at(`http://127.0.0.1:${await freePort("127.0.0.1")}`));
    expect(of("backend")).toMatchObject({
      result: "failure",
      found: "sandbox_api get_sandbox: transport error: ECONNREFUSED",
      remedies: [expect.stringContaining("AUTOMATION_OPENHANDS_API_BASE_URL")],
    });
    expect(of("run look-up")).toMatchObject({ result: "skipped", found: 'needs "backend"' });
  });

  it.each([404, 405, 301])("fails when it answers %s", async (status) => {
    await using server = await startHttpServer((_, response) => sendJson(response, status, {}));
    const { of } = await doctorInProcess(at(server.origin));
    expect(of("backend")).toMatchObject({
      result: "failure",
      remedies: ["check AUTOMATION_OPENHANDS_API_BASE_URL"],
    });
  });

  it("fails when it answers with a web page", async () => {
    await using server = await startHttpServer((_, response) => {
      response.writeHead(200, html).end("<html>sign in</html>");
    });
    const { of } = await doctorInProcess(at(server.origin));
    expect(of("backend").found).toBe(
      "openhands-cloud answers, but not as an API does: HTTP 200 with a web page",
    );
  });

  it.each([200, 401, 403, 422, 429])("takes %s for an API's answer", async (status) => {
    await using server = await startHttpServer((_, response) => sendJson(response, status, []));
    expect((await doctorInProcess(at(server.origin))).of("backend").result).toBe("ok");
    expect(server.requests[0]?.headers).not.toHaveProperty("authorization");
  });

  it("warns when it has trouble of its own", async () => {
    await using server = await startHttpServer((_, response) => sendJson(response, 503, {}));
    expect((await doctorInProcess(at(server.origin))).of("backend").result).toBe("warning");
  });

  it("warns of a clock that is off", async () => {
    const date = new Date(Date.now() - 3_600_000).toUTCString();
    await using server = await startHttpServer((_, response) =>
      sendJson(response, 401, {}, { date }),
    );
    expect((await doctorInProcess(at(server.origin))).of("backend clock")).toMatchObject({
      result: "warning",
      found: expect.stringMatching(/^the clock of the backend is .* behind/),
    });
  });

  it("warns where there is no clock to compare", async () => {
    await using server = await startHttpServer((_, response) => {
      response.sendDate = false;
      sendJson(response, 401, {});
    });
    expect((await doctorInProcess(at(server.origin))).of("backend clock").result).toBe("warning");
  });

  const certificates: readonly (readonly [CertificateName, boolean, string])[] = [
    ["server", false, "NODE_EXTRA_CA_CERTS"],
    ["self-signed", true, "NODE_EXTRA_CA_CERTS"],
    ["expired", true, "renew the server's certificate"],
    ["elsewhere", true, "for the name it is called by"],
  ];
  it.each(certificates)("fails for the certificate %s (authority trusted: %s)", async (...row) => {
    const [name, trusted, remedy] = row;
    using _ = trusted ? trustAuthority() : undefined;
    await using server = await startHttpServer(
      (__, response) => sendJson(response, 401, {}),
      certificate(name),
    );
    const { of } = await doctorInProcess(at(server.origin));
    expect(of("backend").result).toBe("failure");
    expect(of("backend").remedies).toEqual([expect.stringContaining(remedy)]);
  });

  it("accepts a certificate whose authority is trusted", async () => {
    using _ = trustAuthority();
    await using server = await startHttpServer(
      (__, response) => sendJson(response, 401, {}),
      certificate("server"),
    );
    expect((await doctorInProcess(at(server.origin))).of("backend").result).toBe("ok");
  });
});

describe("doctor on the other backends", () => {
  it("asks one's own endpoint about a run", async () => {
    await using world = await createWorld();
    const { id } = await world.seed();
    await using server = await startHttpServer(({ headers }, response) =>
      headers.authorization === "Bearer right"
        ? sendJson(response, 200, { state: "running" })
        : sendJson(response, 401, {}),
    );
    const http = {
      WATCHDOG_BACKEND: "http",
      WATCHDOG_HTTP_VERIFY_URL: `${server.origin}/runs/{run_id}`,
    };
    const right = await doctorInProcess({ ...world.env, ...http, WATCHDOG_HTTP_TOKEN: "right" });
    expect(right.of("run look-up").found).toBe(`run ${id}: its command runs`);
    const wrong = await doctorInProcess({ ...world.env, ...http, WATCHDOG_HTTP_TOKEN: "wrong" });
    expect(wrong.of("run look-up")).toMatchObject({
      result: "failure",
      remedies: ["check WATCHDOG_HTTP_TOKEN"],
    });
    expect(wrong.of("backend").result).toBe("ok");
  });

  it("asks the agent server that all runs share", async () => {
    await using world = await createWorld();
    await world.seed();
    await using server = await startHttpServer(({ headers }, response) =>
      headers["x-session-api-key"] === "right"
        ? sendJson(response, 200, { items: [] })
        : sendJson(response, 401, {}),
    );
    const shared = { AUTOMATION_AGENT_SERVER_URL: server.origin };
    const key = "AUTOMATION_AGENT_SERVER_API_KEY";
    const wrong = await doctorInProcess({ ...world.env, ...shared, [key]: "wrong" });
    expect(wrong.of("run look-up")).toMatchObject({
      result: "failure",
      remedies: [expect.stringContaining(key)],
    });
    const right = await doctorInProcess({ ...world.env, ...shared, [key]: "right" });
    expect(right.of("run look-up").result).toBe("ok");
  });
});
