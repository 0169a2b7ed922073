import { expect, it } from "vitest";
import type { SeededRun } from "../fake-host/seed.ts";
import { seedExited } from "../support/world/proven-runs.ts";
import { createWorld } from "../support/world/world.ts";

const URLS: readonly ((url: URL) => string)[] = [
  (url) => url.href.replace("http:", "file:"),
  (url) => url.href.replace("http:", "ftp:"),
  (url) => url.href.replace("//", "//user:password@"),
  (url) => url.href.replace("127.0.0.1", "localhost"),
  (url) => url.href.replace("127.0.0.1", "127.0.0.1.evil.test"),
  () => "not a URL",
];

it("no session key goes to an address that the API should not have named, nor to where a server redirects", async () => {
  await using world = await createWorld();
  const { host } = world;
  const asked = await seedExited(world, 0);
  for (const change of URLS) {
    const { sandboxId } = await seedExited(world, 0);
    const id = sandboxId ?? "";
    host.update(id, { agentUrl: change(new URL(host.agentUrl(id))) });
  }
  const redirected: SeededRun = await seedExited(world, 0);
  host.intercept(({ kind, sandboxId }) =>
    kind === "events" && sandboxId === redirected.sandboxId
      ? { status: 307, headers: { location: "/elsewhere" } }
      : undefined,
  );

  const report = await world.sweep({ env: { WATCHDOG_AGENT_HOSTS: "127.0.0.1" } });

  expect(report.counts).toMatchObject({ completed: 1, undetermined: URLS.length + 1, failed: 0 });
  const keyed = host.requests.filter(({ headers }) => headers["x-session-api-key"] !== undefined);
  expect(keyed.map(({ sandboxId }) => sandboxId).sort()).toEqual(
    [asked.sandboxId, redirected.sandboxId].sort(),
  );
});
