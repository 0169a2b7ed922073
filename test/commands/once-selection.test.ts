import { randomUUID } from "node:crypto";
import { describe, expect, it } from "vitest";
import { parseDocument } from "../support/process/report-document.ts";
import { createWorld, type World } from "../support/world/world.ts";
import { onceInProcess } from "./once-in-process.ts";

describe("once --run", () => {
  it("takes up the named runs and no others, each once", async () => {
    await using world = await createWorld();
    const [first, second, other] = [await gone(world), await gone(world), await gone(world)];
    const again = second.replaceAll("-", "").toUpperCase();
    const report = await once(world, ["--run", first, second, "--run", first, again]);
    expect(report.runs.map(({ runId }) => runId).toSorted()).toEqual([first, second].toSorted());
    expect(report.counts).toMatchObject({ stale: 2, failed: 2 });
    expect((await world.row(first)).status).toBe("FAILED");
    expect((await world.row(other)).status).toBe("RUNNING");
  });

  it("skips a run that is not past its deadline and one that has ended, which is no failure", async () => {
    await using world = await createWorld();
    const early = await world.seed({ overdueMs: -60_000 });
    const ended = await world.seed({ status: "COMPLETED" });
    const report = await once(world, ["--run", early.id, ended.id]);
    expect(report).toMatchObject({ exitCode: 0, status: "ok", counts: { stale: 2, skipped: 2 } });
  });

  for (const mode of [[], ["--dry-run"]]) {
    it(`exits with 3 for a run that never was, and says so: ${["once", ...mode].join(" ")}`, async () => {
      await using world = await createWorld();
      const args = [...mode, "--run", randomUUID()];
      const { exitCode, stdout } = await onceInProcess(world.env, args);
      expect(exitCode).toBe(3);
      expect(stdout.replaceAll(/\s+/g, " ")).toContain(", 1 of the named runs does not exist ");
      expect(stdout).toContain(": no such run\n");
    });
  }

  it("takes up the others when one of the named runs never was", async () => {
    await using world = await createWorld();
    const id = await gone(world);
    const report = await once(world, ["--run", randomUUID(), id]);
    expect(report).toMatchObject({ exitCode: 3, status: "partial", counts: { failed: 1 } });
    expect((await world.row(id)).status).toBe("FAILED");
  });

  it("skips a run that is not past its deadline, one that has ended and one that never was", async () => {
    await using world = await createWorld();
    const early = await world.seed({ overdueMs: -60_000 });
    const ended = await world.seed({ status: "COMPLETED" });
    const unknown = randomUUID();
    const report = await once(world, ["--run", early.id, ended.id, unknown]);
    expect(report).toMatchObject({ exitCode: 3, counts: { stale: 3, skipped: 3 } });
    const reasons = new Map(report.runs.map(({ runId, reason }) => [runId, reason]));
    expect(Object.fromEntries(reasons)).toEqual({
      [early.id]: "RUNNING, not past its deadline",
      [ended.id]: "COMPLETED, not past its deadline",
      [unknown]: "no such run",
    });
    expect(report.runs.every(({ verifyMs }) => verifyMs === null)).toBe(true);
    expect(world.host.requests).toEqual([]);
  });

  it("takes an epoch and leaves the fleet's note of the last sweep alone", async () => {
    await using world = await createWorld();
    await once(world, []);
    const before = await fleetSweep(world);
    const report = await once(world, ["--run", await gone(world)]);
    expect(report.epoch).toBe(2);
    expect(await fleetSweep(world)).toEqual(before);
  });
});

describe("once --limit", () => {
  it("takes up no more than so many runs, the most overdue first", async () => {
    await using world = await createWorld();
    const [late, later, latest] = [
      await gone(world, 60_000),
      await gone(world, 120_000),
      await gone(world, 180_000),
    ];
    const report = await once(world, ["--limit", "2"]);
    expect(report.counts).toMatchObject({ stale: 2, failed: 2 });
    expect(report.runs.map(({ runId }) => runId).toSorted()).toEqual([later, latest].toSorted());
    expect((await world.row(late)).status).toBe("RUNNING");
  });

  it("takes up all of them when there are as many as the limit", async () => {
    await using world = await createWorld();
    await gone(world);
    await gone(world);
    expect((await once(world, ["--limit", "2"])).counts.stale).toBe(2);
  });

  it("counts named runs as well", async () => {
    await using world = await createWorld();
    const ids = [await gone(world), await gone(world)];
    expect((await once(world, ["--limit", "1", "--run", ...ids])).counts.stale).toBe(1);
  });
});

async function once(world: World, args: readonly string[]) {
  const { stdout } = await onceInProcess(world.env, ["--output", "json", ...args]);
  return parseDocument(stdout);
}

async function gone(world: World, overdueMs = 60_000): Promise<string> {
  return (await world.seed({ overdueMs }, { status: "MISSING" })).id;
}

async function fleetSweep(world: World): Promise<unknown> {
  const rows = await world.database.sql`
    SELECT sweep_trigger, sweep_started_at::text, sweep_finished_at::text, last_report
    FROM watchdog.leadership`;
  return rows[0];
}
