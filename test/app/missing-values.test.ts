import { describe, expect, it } from "vitest";
import type { RunSeed } from "../fake-host/seed.ts";
import { sendJson, startHttpServer } from "../services/http-server.ts";
import { createWorld, type World } from "../support/world/world.ts";

const OVERDUE = 4;
const HEALTHY = 10;
const SAMPLES = 3;
/** A run without a deadline is overdue a day after its beginning. */
const LONG_AGO_MS = 90_000_000;
const LATELY_MS = 900_000;

/** The product's own limits, but one observation is enough, and no verdict comes to its bound. */
const LIMITS = {
  WATCHDOG_CONFIRMATIONS: "1",
  WATCHDOG_GUARD_MIN: "5",
  WATCHDOG_GUARD_PER_HOUR: "60",
  WATCHDOG_UNVERIFIABLE_AFTER: "30d",
};

const MISSING: readonly (readonly [string, RunSeed])[] = [
  ["all values", {}],
  ["no sandbox id", { sandboxId: null }],
  ["no command id", { bashCommandId: null }],
  ["no ids", { sandboxId: null, bashCommandId: null }],
  ["empty ids", { sandboxId: "", bashCommandId: "" }],
  ["no start", { startedAgoMs: null }],
  ["no deadline", { timeoutAt: null }],
  ["no word on keeping the sandbox", { automation: { keepAlive: null } }],
  ["no timeout of its own", { automation: { timeoutS: null } }],
];

describe("a backend over http that says of everybody that the run is lost", () => {
  for (const [what, run] of MISSING) {
    it(`ends no run that has ${what}: others are asked, and show no life`, async () => {
      await using world = await createWorld();
      await using server = await startHttpServer((_, response) =>
        sendJson(response, 200, { state: "lost" }),
      );
      await seedFleet(world, run);
      const env = {
        ...LIMITS,
        WATCHDOG_BACKEND: "http",
        WATCHDOG_HTTP_VERIFY_URL: `${server.origin}/runs/{run_id}`,
      };
      const { counts } = await world.sweep({ env });
      expect(counts).toMatchObject({ stale: OVERDUE, held: OVERDUE, failed: 0 });
      expect(server.requests).toHaveLength(OVERDUE + SAMPLES);
    });
  }
});

describe("a sandbox API that says of every sandbox that it is missing", () => {
  for (const [what, run] of MISSING.filter(([, { sandboxId }]) => sandboxId === undefined)) {
    it(`ends no run that has ${what}: others are asked, and show no life`, async () => {
      await using world = await createWorld();
      await seedFleet(world, run);
      const { counts } = await world.sweep({ env: LIMITS });
      expect(counts).toMatchObject({ stale: OVERDUE, held: OVERDUE, failed: 0 });
    });
  }
});

describe("a shared agent server that knows nothing", () => {
  for (const [what, run] of MISSING) {
    it(`ends no run that has ${what}`, async () => {
      await using world = await createWorld();
      // Without a command a run is given up at its hard deadline, whatever a server says.
      await seedFleet(world, run, run.timeoutAt === null ? LONG_AGO_MS : LATELY_MS);
      const agentServer = world.host.agentUrl("nobody");
      const env = { ...LIMITS, AUTOMATION_AGENT_SERVER_URL: agentServer };
      const { counts } = await world.sweep({ env });
      expect(counts).toMatchObject({ stale: OVERDUE, failed: 0, completed: 0 });
    });
  }
});

/** Some that are overdue, and more that are not. */
async function seedFleet(world: World, run: RunSeed, overdueBegunMs = LONG_AGO_MS): Promise<void> {
  const begun = (agoMs: number) =>
    run.startedAgoMs === null ? { createdAgoMs: agoMs } : { startedAgoMs: agoMs };
  const seeds = [
    ...Array.from({ length: OVERDUE }, () => ({ ...run, ...begun(overdueBegunMs) })),
    ...Array.from({ length: HEALTHY }, () => ({
      overdueMs: -600_000,
      ...run,
      ...begun(LATELY_MS),
    })),
  ];
  for (const seed of seeds) await world.seed(seed, { status: "MISSING" });
}
