import { expect, it } from "vitest";
import { html, json, type Reply } from "../fake-host/model.ts";
import { seedExited } from "../support/world/proven-runs.ts";
import { createWorld } from "../support/world/world.ts";

const FAILURES: readonly Reply[] = [
  html(500, "Internal Server Error"),
  json(429, { error: "Rate limit exceeded" }),
  "reset",
];

it("a deletion that failed is tried again, with a new key where the old one was refused", async () => {
  await using world = await createWorld();
  const failures = new Map<string | null, Reply>();
  for (const reply of FAILURES) failures.set((await seedExited(world, 0)).sandboxId, reply);
  const revoked = await seedExited(world, 0);
  const remove = world.host.intercept(({ kind, sandboxId }) => {
    if (kind !== "delete") return undefined;
    if (sandboxId !== revoked.sandboxId) return failures.get(sandboxId);
    revokeOnce();
    return undefined;
  });
  let isRevoked = false;
  function revokeOnce(): void {
    if (!isRevoked) world.host.revokeKeys(revoked.userId);
    isRevoked = true;
  }

  const first = await world.sweep();
  expect(first.cleanups).toEqual({ done: 1, pending: FAILURES.length, abandoned: 0 });
  expect(world.host.sandbox(revoked.sandboxId ?? "")).toBeUndefined();

  remove();
  await world.database.sql`
    UPDATE watchdog.verdicts SET cleanup_next_at = now() WHERE cleanup_state = 'pending'`;
  const second = await world.sweep();
  expect(second.cleanups).toEqual({ done: FAILURES.length, pending: 0, abandoned: 0 });
  for (const id of failures.keys()) expect(world.host.sandbox(id ?? "")).toBeUndefined();
});
