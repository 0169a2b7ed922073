import { expect, it } from "vitest";
import type { RunRecord } from "../../../src/rules/history/journal.ts";
import { ALL_VERDICTS } from "../../../src/watchdog/journal-ports.ts";
import { MIN_MS, minutes, type StoreStand } from "../../support/stands/store-stand.ts";
import { DARK, fail, leave, read } from "../../support/stands/store-steps.ts";
import { DAY_MS, failing } from "../../support/stands/stores.ts";

const SHIELD_MS = 30 * MIN_MS;

/** What every reader of a journal promises about a single run. */
export function describeRecords(open: () => Promise<StoreStand>): void {
  it("knows nothing of a run that is not there", async () => {
    await using stand = await open();
    expect(await stand.reader.run(crypto.randomUUID(), DAY_MS)).toBeNull();
  });

  it("shows a run of which nothing is remembered, due at its deadline", async () => {
    await using stand = await open();
    const id = await stand.add({ overdueMin: 7, sandboxId: null });
    const record = await shown(stand, id);
    expect(record).toMatchObject({
      ...{ runId: id, status: "RUNNING", sandboxId: null, timedOut: false },
      ...{ shielded: false, remembered: null, completedAt: null },
    });
    expect(ago(record, record.timeoutAt)).toBe(7);
    expect(ago(record, record.dueAt)).toBe(7);
    expect(ago(record, record.beganAt)).toBe(30);
  });

  it("shows when a run without a deadline is due", async () => {
    await using stand = await open();
    const record = await shown(stand, await stand.add({ overdueMin: null }));
    expect(record.timeoutAt).toBeNull();
    expect(ago(record, record.dueAt)).toBe(30 - DAY_MS / MIN_MS);
  });

  it("shows everything that is remembered of a run behind its shield, due at our look", async () => {
    await using stand = await open();
    const id = await stand.add();
    await leave(stand, id, { ...DARK, unknownCause: "no answer" }, SHIELD_MS);
    await stand.pass(2 * MIN_MS);
    const record = await shown(stand, id);
    expect(record.shielded).toBe(true);
    expect(ago(record, record.dueAt)).toBe(-58);
    expect(ago(record, record.timeoutAt)).toBe(-88);
    const { remembered } = record;
    expect(remembered).toMatchObject({
      ...{ presumedTimes: 1, presumedReason: "sandbox gone" },
      ...{ unknownTimes: 3, unknownCause: "no answer", errorTimes: 0, errorRetryAt: null },
    });
    expect(ago(record, remembered?.firstDeadlineAt)).toBe(3);
    expect(ago(record, remembered?.presumedLastAt)).toBe(2);
    expect(ago(record, remembered?.unknownSince)).toBe(2);
    expect(ago(record, remembered?.heldSince)).toBe(2);
    expect(ago(record, remembered?.notedAt)).toBe(2);
  });

  it("goes by the deadline again when somebody has moved it, and remembers all the same", async () => {
    await using stand = await open();
    const id = await stand.add();
    await leave(stand, id, DARK, SHIELD_MS);
    await stand.change(id, { overdueMin: -10 });
    const record = await shown(stand, id);
    expect(record.shielded).toBe(false);
    expect(ago(record, record.dueAt)).toBe(-10);
    expect(record.remembered).not.toBeNull();
  });

  it("shows why a run could not be handled, and until when it is let alone", async () => {
    await using stand = await open();
    const id = await stand.add();
    await fail(stand, id, "status 500");
    const record = await shown(stand, id);
    expect(record.remembered).toMatchObject({ errorTimes: 1, errorCause: "status 500" });
    expect(ago(record, record.remembered?.errorRetryAt)).toBe(-60);
  });

  const others = {
    sandbox: { sandboxId: "b" },
    command: { bashCommandId: "b" },
    start: { beganMin: 5 },
  };
  for (const [what, change] of Object.entries(others)) {
    it(`forgets what was said of another ${what}`, async () => {
      await using stand = await open();
      const id = await stand.add();
      await leave(stand, id, DARK);
      await stand.change(id, change);
      expect((await shown(stand, id)).remembered).toBeNull();
    });
  }

  it("keeps what was remembered of a run in its verdict", async () => {
    await using stand = await open();
    const id = await stand.add();
    await leave(stand, id, DARK);
    await stand.pass(3 * MIN_MS);
    await stand.store.apply(failing(await read(stand, id)), stand.fence);
    const [verdict] = await stand.reader.verdicts({ ...ALL_VERDICTS, runId: id, limit: 5 });
    expect(verdict?.suspicion).toMatchObject({ presumedTimes: 1, unknownTimes: 3 });
    const record = await shown(stand, id);
    expect(record).toMatchObject({ status: "FAILED", remembered: null });
    const { firstDeadlineAt, presumedLastAt, unknownSince, heldSince } = verdict?.suspicion ?? {};
    expect(ago(record, firstDeadlineAt)).toBe(4);
    expect(ago(record, presumedLastAt)).toBe(3);
    expect(ago(record, unknownSince)).toBe(3);
    expect(ago(record, heldSince)).toBe(3);
    expect(ago(record, verdict?.decidedAt)).toBe(0);
    expect(ago(record, record.completedAt)).toBe(0);
  });

  it("knows runs that ended as timed out from others", async () => {
    await using stand = await open();
    const id = await stand.add();
    await stand.change(id, { status: "FAILED", errorDetail: "Timed out: a reason" });
    expect((await shown(stand, id)).timedOut).toBe(true);
    await stand.change(id, { errorDetail: "exit_code=1" });
    expect((await shown(stand, id)).timedOut).toBe(false);
  });
}

async function shown(stand: StoreStand, id: string): Promise<RunRecord> {
  const record = await stand.reader.run(id, DAY_MS);
  if (record === null) throw new Error(`there is no run ${id}`);
  return record;
}

/** Minutes before the record was read, rounded. */
function ago({ readAt }: RunRecord, at: string | null | undefined): number | null {
  return at == null ? null : minutes(Date.parse(readAt) - Date.parse(at));
}
