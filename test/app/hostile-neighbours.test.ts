import { describe, expect, it, vi } from "vitest";
import { StopRequestedError } from "../../src/watchdog/errors.ts";
import { type HttpReply, JSON_TYPE, type Reply } from "../fake-host/model.ts";
import { seedRuns } from "../fake-host/seed.ts";
import { createWorld, exitedWith, type World } from "../support/world/world.ts";

const MIB = 1024 * 1024;
/** With the default concurrency one slot is left. */
const HOSTILE_RUNS = 15;

const STUCK: readonly (readonly [name: string, reply: () => Reply])[] = [
  ["are silent", () => "silence"],
  ["send headers and stop", () => streamed(stopped(""))],
  ["stop in the middle of a large body", () => streamed(stopped(`"${"x".repeat(8 * MIB)}`))],
  ["send a byte now and then", () => streamed(dripping())],
];

describe("Runs beside fifteen whose agent servers", () => {
  for (const [name, reply] of STUCK) {
    it(`${name} get their answers, large ones as well`, async () => {
      await using world = await createWorld();
      const hostile = await seedRuns(world.database.sql, Array(HOSTILE_RUNS).fill({}));
      for (const { sandboxId, userId, orgId } of hostile) {
        world.host.addSandbox({ id: sandboxId ?? "", userId, orgId });
      }
      const ids = new Set(hostile.map(({ sandboxId }) => sandboxId));
      const allStuck = Promise.withResolvers<void>();
      let stuck = 0;
      world.host.intercept(async ({ kind, sandboxId }) => {
        // Nobody else is asked before every other slot is held.
        if (kind === "lookup" && !ids.has(sandboxId)) await allStuck.promise;
        if (kind !== "events" || !ids.has(sandboxId)) return undefined;
        stuck += 1;
        if (stuck === HOSTILE_RUNS) allStuck.resolve();
        return reply();
      });
      const others = [
        await seedHonest(world, "short"),
        await seedHonest(world, "\u0001".repeat(MIB)),
      ];

      const stop = new AbortController();
      const sweeping = world.sweep({
        env: { WATCHDOG_VERIFY_TIMEOUT: "5m" },
        signal: stop.signal,
      });
      await vi.waitFor(
        async () => {
          const rows = await Promise.all(others.map((id) => world.row(id)));
          expect(rows.map(({ status }) => status)).toEqual(["COMPLETED", "COMPLETED"]);
        },
        { timeout: 45_000, interval: 50 },
      );
      expect(world.host.traffic.of("events").inFlight).toBe(HOSTILE_RUNS);
      stop.abort(new StopRequestedError("SIGTERM"));
      const { counts } = await sweeping;
      expect(counts).toMatchObject({ completed: 2, failed: 0 });
    });
  }
});

async function seedHonest(world: World, text: string): Promise<string> {
  const run = await world.seed();
  const output = { ...exitedWith(0, run), stdout: text, stderr: text };
  world.host.update(run.sandboxId ?? "", { outputs: [output] });
  return run.id;
}

function streamed(body: AsyncIterable<string>): HttpReply {
  return { status: 200, headers: JSON_TYPE, body };
}

async function* stopped(first: string) {
  yield first;
  await new Promise(() => {});
}

async function* dripping() {
  while (true) {
    yield " ";
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
