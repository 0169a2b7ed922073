/** The status page as a worker serves it. */
import { describe, expect, it, vi } from "vitest";
import { askHealth, untilReady } from "../../support/process/ask-health.ts";
import { runOnce, startWorker } from "../../support/process/worker-process.ts";
import { createWorld } from "../../support/world/world.ts";

const NEVER = { WATCHDOG_SCHEDULE: "0 0 1 1 *" };
const EVERY_SECOND = { WATCHDOG_SCHEDULE: "* * * * * *" };

/** Other tests share the machine. */
const WITHIN_MS = 90_000;

describe("the status page of a worker", () => {
  it("is one document that is not kept and may load nothing, to GET and to HEAD", async () => {
    await using world = await createWorld();
    await using worker = await startWorker({ ...world.env, ...NEVER });
    await untilReady(worker);
    const url = await worker.healthUrl();
    const response = await fetch(`${url}/`);
    expect(response.status).toBe(200);
    expect(Object.fromEntries(response.headers)).toMatchObject({
      "content-type": "text/html; charset=utf-8",
      "cache-control": "no-store",
      "content-security-policy": expect.stringMatching(
        /^default-src 'none'; style-src 'sha256-[\w+/=]{44}'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'$/,
      ),
      "x-content-type-options": "nosniff",
      "referrer-policy": "no-referrer",
    });
    const page = await response.text();
    const { body } = await askHealth(worker, "/health");
    expect(page).toMatch(/^<!doctype html>/);
    expect(page).toContain(String(body["holder"]));
    expect(page).toContain(String(body["configuration"]));
    const head = await fetch(`${url}/`, { method: "HEAD" });
    expect([head.status, await head.text()]).toEqual([200, ""]);
    expect((await fetch(`${url}/`, { method: "POST" })).status).toBe(405);
  });

  it("shows what was ended, with which proof, and how the sweep went", async () => {
    await using world = await createWorld();
    const { id } = await world.seed({}, { status: "MISSING" });
    await using worker = await startWorker({
      ...world.env,
      ...EVERY_SECOND,
      WATCHDOG_CONFIRMATIONS: "1",
    });
    const url = await worker.healthUrl();
    await vi.waitFor(async () => {
      const page = await (await fetch(`${url}/`)).text();
      expect(page).toMatch(
        new RegExp(
          `failed<small>presumption</small></td><td class="text">[^<]+<small class="id">${id}<`,
        ),
      );
      expect(page).toContain("<rect ");
    }, WITHIN_MS);
  });

  it("shows a pause with its reason as text, and the other replicas, also on a standby", async () => {
    await using world = await createWorld();
    const env = { ...world.env, ...EVERY_SECOND };
    await using first = await startWorker(env);
    await using second = await startWorker(env);
    const { code } = await runOnce(env, ["pause", "--for", "2h", "--reason", "<b>upgrade</b>"]);
    expect(code).toBe(0);
    for (const worker of [first, second]) {
      const url = await worker.healthUrl();
      await vi.waitFor(async () => {
        const page = await (await fetch(`${url}/`)).text();
        expect(page).toContain("<b>Paused</b>: nobody sweeps before");
        expect(page).toContain("&#60;b&#62;upgrade&#60;/b&#62;");
        expect(page).not.toContain("<b>upgrade");
        expect(page.match(/<small>(this one, )?version /g)).toHaveLength(2);
      }, WITHIN_MS);
    }
  });

  it("tells no address of a store that is away, and is still there", async () => {
    await using world = await createWorld();
    await using worker = await startWorker({
      ...world.env,
      ...NEVER,
      DATABASE_URL: "postgres://nobody:hidden-word@127.0.0.1:1/no-such-database",
    });
    const url = await worker.healthUrl();
    await vi.waitFor(async () => {
      const response = await fetch(`${url}/`);
      const page = await response.text();
      expect(response.status).toBe(200);
      expect(page).toMatch(/<li>postgres: [^<]+<\/li>/);
      for (const secret of ["127.0.0.1", "hidden-word"]) expect(page).not.toContain(secret);
    }, WITHIN_MS);
  });
});
