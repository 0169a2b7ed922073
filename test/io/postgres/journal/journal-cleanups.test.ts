import { describe, expect, it } from "vitest";
import type { Journal } from "../../../../src/watchdog/journal-ports.ts";
import type { Fence } from "../../../../src/watchdog/ports.ts";
import { seedRun } from "../../../fake-host/seed.ts";
import { createDatabase } from "../../../services/postgres/database.ts";
import {
  type PostgresJournalStand,
  postgresJournalStand,
} from "../../../support/stands/postgres-journal-stand.ts";
import {
  completing,
  everything,
  openStores,
  readRun,
  takeEpoch,
} from "../../../support/stands/stores.ts";

const AT_ONCE = { cleanupInMs: 0, deletionInMs: null };

describe("PostgresJournal.claimCleanups, with others at work", () => {
  it("tells whose sandbox it is", async () => {
    await using database = await createDatabase();
    await using stores = openStores(database.connection);
    const fence = await takeEpoch(stores);
    const { id: runId, sandboxId, userId, orgId } = await seedRun(database.sql);
    await stores.store.apply(completing(await readRun(stores, runId)), fence);
    expect(await stores.journal.claimCleanups(fence, 5)).toEqual([
      {
        id: expect.any(Number),
        runId,
        sandboxId,
        userId,
        orgId,
        attempts: 1,
        pauseWithinMs: null,
      },
    ]);
  });

  it("gives those who claim at once different ones", async () => {
    await using stand = await postgresJournalStand();
    for (let count = 0; count < 40; count += 1) await stand.verdict();
    const ids = await claimAtOnce(stand, 5);
    expect(ids).toHaveLength(40);
    expect(new Set(ids).size).toBe(40);
  });

  it("gives one of those who claim at once what several verdicts name", async () => {
    await using stand = await postgresJournalStand();
    for (let count = 0; count < 40; count += 1) {
      await stand.verdict({ sandboxId: `shared by ${count % 4}`, dueInMs: -count * 1000 });
    }
    expect(await claimAtOnce(stand, 5)).toHaveLength(4);
  });

  it("passes over one that somebody else is claiming, without waiting", async () => {
    await using stand = await postgresJournalStand();
    const [locked, free] = [await stand.verdict(), await stand.verdict()];
    await whileLocked(stand, locked, async () => {
      expect((await claim(stand)).map(({ runId }) => runId)).toEqual([free]);
    });
  });

  it("takes no other verdict on a sandbox that somebody else is claiming", async () => {
    await using stand = await postgresJournalStand();
    const first = await stand.verdict({ sandboxId: "s" });
    await stand.verdict({ sandboxId: "s", dueInMs: -1000 });
    await whileLocked(stand, first, async () => expect(await claim(stand)).toEqual([]));
    expect((await claim(stand)).map(({ runId }) => runId)).toEqual([first]);
  });

  it("knows nothing of a verdict that is not committed", async () => {
    await using stand = await postgresJournalStand();
    const template = await stand.verdict({ cleanupState: "none" });
    await stand.sql.begin(async (transaction) => {
      await transaction`
        UPDATE watchdog.verdicts SET cleanup_state = 'pending', cleanup_next_at = now()
        WHERE run_id = ${template}`;
      expect(await claim(stand)).toEqual([]);
    });
    expect((await claim(stand)).map(({ runId }) => runId)).toEqual([template]);
  });
});

describe("PostgresJournal and the host's tables", () => {
  it("reads no keep_alive where the host has none", async () => {
    await using stand = await postgresJournalStand();
    const runId = await stand.verdict({ basis: "presumption" });
    const unnamed = { basis: "presumption", sandboxId: null, cleanupState: "none" } as const;
    const late = await stand.verdict(unnamed);
    await stand.changeRun(late, { sandboxId: "late" });
    await stand.sql`ALTER TABLE automations DROP COLUMN keep_alive`;
    expect((await claim(stand)).map((task) => task.runId)).toEqual([runId]);
    expect(await stand.journal.adoptLateSandboxes(AT_ONCE, stand.fence)).toBe(1);
  });
});

describe("PostgresJournal and clean-ups", () => {
  it("counts those that are pending, due or not", async () => {
    await using stand = await postgresJournalStand();
    await stand.verdict({ dueInMs: 3_600_000 });
    await stand.verdict();
    await stand.verdict({ cleanupState: "abandoned" });
    expect(await stand.journal.pendingCleanups()).toBe(2);
  });

  it("prunes around a verdict that somebody is writing, without waiting", async () => {
    await using stand = await postgresJournalStand();
    const done = { cleanupState: "done" } as const;
    const [locked, free] = [await stand.verdict(done), await stand.verdict(done)];
    await stand.pass(86_400_000);
    await whileLocked(stand, locked, async () => {
      expect(await stand.journal.prune(3_600_000, 10, stand.fence)).toBe(1);
      expect(await stand.entry(free)).toBeNull();
    });
    expect(await stand.journal.prune(3_600_000, 10, stand.fence)).toBe(1);
  });

  const reason = new Error("the lease is lost");
  const refusing: Fence = {
    shard: 0,
    epoch: 1,
    check() {
      throw reason;
    },
  };
  const writes: Readonly<Record<string, (journal: Journal) => Promise<unknown>>> = {
    claimCleanups: (journal) => journal.claimCleanups(refusing, 5),
    cleanupDone: (journal) => journal.cleanupDone(1, null, refusing),
    cleanupFailed: (journal) => journal.cleanupFailed(1, "HTTP 503", 0, refusing),
    adoptLateSandboxes: (journal) => journal.adoptLateSandboxes(AT_ONCE, refusing),
    adoptOverdueStamps: (journal) => journal.adoptOverdueStamps(5, refusing),
    closeOverturnedFirstRuns: (journal) => journal.closeOverturnedFirstRuns(refusing),
    prune: (journal) => journal.prune(0, 5, refusing),
  };
  for (const [name, write] of Object.entries(writes)) {
    it(`sends nothing with ${name} when the fence refuses`, async () => {
      await using stand = await postgresJournalStand();
      await stand.verdict();
      await stand.verdict({ cleanupState: "done" });
      const before = await everything(stand.sql);
      await expect(write(stand.journal)).rejects.toBe(reason);
      expect(await everything(stand.sql)).toEqual(before);
    });
  }
});

function claim({ journal, fence }: PostgresJournalStand, limit = 10) {
  return journal.claimCleanups(fence, limit);
}

/** Eight claims on connections of their own; the ids of what they got together. */
async function claimAtOnce(stand: PostgresJournalStand, limit: number): Promise<readonly number[]> {
  const claims = await Promise.all(Array.from({ length: 8 }, () => claim(stand, limit)));
  return claims.flat().map(({ id }) => id);
}

async function whileLocked(
  { sql }: PostgresJournalStand,
  runId: string,
  work: () => Promise<void>,
): Promise<void> {
  await sql.begin(async (transaction) => {
    await transaction`SELECT FROM watchdog.verdicts WHERE run_id = ${runId} FOR UPDATE`;
    await work();
  });
}
