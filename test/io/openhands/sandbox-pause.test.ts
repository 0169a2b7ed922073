import { describe, expect, it } from "vitest";
import type { CloudWorld } from "../http/world.ts";
import { accepting, calm, cloudWorld, inTurn, replying, silent } from "../http/world.ts";

const TARGET = { sandboxId: "a/b c", userId: "user-1", orgId: "org-1" };

describe("openHandsCloudBackend.pause", () => {
  it("posts to the sandbox with its user's key, and sends no body", async () => {
    await using world = await cloudWorld();
    expect(await pause(world)).toEqual({ kind: "paused" });
    const request = world.server.requests.at(-1);
    expect(request).toMatchObject({
      method: "POST",
      target: "/api/v1/sandboxes/a%2Fb%20c/pause",
      headers: { authorization: "Bearer sk-oh-1" },
    });
    expect(request?.headers["content-length"] ?? "0").toBe("0");
  });

  it("mints anew and asks again when its key is refused", async () => {
    await using world = await cloudWorld({
      routes: {
        mint: inTurn(replying(200, { key: "old" }), replying(200, { key: "new" })),
        pause: accepting("new", () => ({ success: true })),
      },
    });
    expect(await pause(world)).toEqual({ kind: "paused" });
    expect(world.calls("pause")).toBe(2);
  });

  it("says of HTTP 404 that there is nothing to pause", async () => {
    await using world = await cloudWorld({ routes: { pause: replying(404) } });
    expect(await pause(world)).toEqual({
      kind: "absent",
      failure: "sandbox_api pause_sandbox returned HTTP 404",
    });
  });

  for (const status of [302, 403, 409, 422, 500]) {
    it(`fails on HTTP ${status}`, async () => {
      await using world = await cloudWorld({ routes: { pause: replying(status) } });
      expect(await pause(world)).toMatchObject({
        kind: "failed",
        failure: `sandbox_api pause_sandbox returned HTTP ${status}`,
      });
    });
  }

  it("fails at the deadline", async () => {
    const options = { verifyTimeoutMs: 500 };
    await using world = await cloudWorld({ routes: { pause: silent }, options });
    expect(await pause(world)).toMatchObject({
      failure: "sandbox_api pause_sandbox timed out: no complete answer within 500 ms",
    });
  });

  for (const target of [
    { ...TARGET, userId: null },
    { ...TARGET, sandboxId: "" },
    { ...TARGET, sandboxId: ".." },
  ]) {
    it(`asks nothing for user ${target.userId} and sandbox "${target.sandboxId}"`, async () => {
      await using world = await cloudWorld();
      expect(await pause(world, target)).toMatchObject({ kind: "failed" });
      expect(world.server.requests).toEqual([]);
    });
  }

  it("keeps nobody from looking up and deleting when it keeps failing", async () => {
    await using world = await cloudWorld({ routes: { pause: replying(500) } });
    for (let call = 0; call < 5; call += 1) await pause(world);
    expect(await pause(world)).toMatchObject({ kind: "not-asked" });
    expect(world.calls("pause")).toBe(5);
    expect(world.backend.api?.blockedReason).toBeNull();
    expect(await world.backend.cleanup(TARGET, calm())).toEqual({ kind: "deleted" });
  });

  it("rejects at once with the reason when it is aborted", async () => {
    await using world = await cloudWorld({ routes: { pause: silent } });
    const controller = new AbortController();
    const pausing = pause(world, TARGET, controller.signal);
    await world.server.arrived(2);
    const reason = new Error("stopping");
    controller.abort(reason);
    await expect(pausing).rejects.toBe(reason);
  });
});

async function pause(
  { backend }: CloudWorld,
  target: { sandboxId: string; userId: string | null; orgId: string } = TARGET,
  signal = calm(),
) {
  if (backend.pause === undefined) throw new Error("this backend cannot pause");
  return await backend.pause(target, signal);
}
