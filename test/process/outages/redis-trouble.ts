/** What workers do whose Redis is in trouble, and what none of them may ever do. */
import { expect, vi } from "vitest";
import { askHealth } from "../../support/process/ask-health.ts";
import type { WorkerProcess } from "../../support/process/worker-process.ts";
import type { World } from "../../support/world/world.ts";

/** Sweeps every second, and learns of a lost lease within two. */
export const QUICK = {
  WATCHDOG_SCHEDULE: "* * * * * *",
  WATCHDOG_LEASE_TTL: "2s",
  WATCHDOG_LEASE_RENEW: "500ms",
  WATCHDOG_LEASE_MARGIN: "200ms",
  WATCHDOG_DEFER: "1s",
};

const WITHIN = { timeout: 90_000, interval: 100 };

/** Settles when `/readyz` and `/health` say what is wrong with the lease, and `/livez` asks for no restart. */
export async function untilTold(worker: WorkerProcess, reason: RegExp): Promise<void> {
  await vi.waitFor(async () => {
    const ready = await askHealth(worker, "/readyz");
    expect({ status: ready.status, reasons: ready.body.reasons }).toEqual({
      status: 503,
      reasons: [expect.stringMatching(reason)],
    });
    const { body } = await askHealth(worker, "/health");
    expect(body.status).toMatch(/^(degraded|failing)$/);
    expect(body.reasons).toContainEqual(expect.stringMatching(reason));
  }, WITHIN);
  await expectUnharmed(worker);
}

/** Settles when `/health` has nothing to complain about. */
export async function untilWell(worker: WorkerProcess): Promise<void> {
  await vi.waitFor(async () => {
    const { body } = await askHealth(worker, "/health");
    expect({ status: body.status, reasons: body.reasons }).toEqual({ status: "ok", reasons: [] });
  }, WITHIN);
  await expectUnharmed(worker);
}

/** It lives, and nothing went past its log. */
export async function expectUnharmed(worker: WorkerProcess): Promise<void> {
  expect(await askHealth(worker, "/livez")).toEqual({
    status: 200,
    body: { status: "ok", reasons: [] },
  });
  expect(worker.stderr()).toBe("");
}

interface Written {
  readonly shard: number;
  readonly epoch: number;
  readonly holder: string;
}

/** Every verdict was written in an epoch of one holder's, and none after a newer epoch of its shard had written. */
export async function expectOneWriterAtATime({ database }: World): Promise<void> {
  const rows = await database.sql<Written[]>`
    SELECT shard, epoch::int, holder FROM watchdog.verdicts ORDER BY id`;
  for (const written of Map.groupBy(rows, ({ shard }) => shard).values()) {
    expectOneAtATime(written);
  }
}

function expectOneAtATime(rows: readonly Written[]): void {
  const holders = new Map(rows.map(({ epoch, holder }) => [epoch, holder]));
  expect(rows.map(({ epoch, holder }) => holders.get(epoch) === holder)).not.toContain(false);
  const epochs = rows.map(({ epoch }) => epoch);
  expect(epochs).toEqual(epochs.toSorted((a, b) => a - b));
}
