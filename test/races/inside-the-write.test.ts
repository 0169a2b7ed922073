import { describe, expect, it } from "vitest";
import type { RunSnapshot } from "../../src/rules/model.ts";
import type { WriteResult } from "../../src/watchdog/store-ports.ts";
import { postgresStoreStand } from "../support/stands/postgres-store-stand.ts";
import { DARK, leave, read, WRITTEN } from "../support/stands/store-steps.ts";
import { completing, deferring } from "../support/stands/stores.ts";
import { PAUSE_KEY, pauseCommits } from "./paused-commit.ts";

type Stand = Awaited<ReturnType<typeof postgresStoreStand>>;

/** Each sees the row as it was when its statement began. */
const WRITES = [
  {
    name: "a verdict",
    prepare: async () => {},
    write: ({ store, fence }: Stand, run: RunSnapshot) => store.apply(completing(run), fence),
    status: "COMPLETED",
  },
  {
    name: "a verdict about a run of which something is remembered",
    prepare: async (stand: Stand, id: string) => {
      await leave(stand, id, DARK);
      await stand.change(id, { overdueMin: 1 });
    },
    write: ({ store, fence }: Stand, run: RunSnapshot) => store.apply(completing(run), fence),
    status: "COMPLETED",
  },
  {
    name: "a deferral",
    prepare: async () => {},
    write: ({ store, fence }: Stand, run: RunSnapshot) => store.defer(deferring(run), fence),
    status: "RUNNING",
  },
];

describe.each(WRITES)("$name that has begun and has not locked its row yet", (given) => {
  it("keeps what somebody else writes meanwhile, and is made", async () => {
    const meanwhile = "UPDATE automation_runs SET error_detail = 'of somebody else'";
    const { result, row, journaled } = await written(given, meanwhile);
    const { status } = given;
    expect({ result, row, journaled }).toEqual({
      result: WRITTEN,
      row: { status, error_detail: "of somebody else" },
      journaled: status === "RUNNING" ? 0 : 1,
    });
  });

  it("leaves the run to a callback that comes meanwhile", async () => {
    const meanwhile =
      "UPDATE automation_runs SET status = 'COMPLETED', error_detail = 'called back'";
    const { result, row, journaled } = await written(given, meanwhile);
    expect({ result, row, journaled }).toEqual({
      result: { kind: "none" },
      row: { status: "COMPLETED", error_detail: "called back" },
      journaled: 0,
    });
  });
});

/** Makes the write, and the other one while it reads the epoch: after its snapshot, before its lock. */
async function written({ prepare, write }: (typeof WRITES)[number], meanwhile: string) {
  await using stand = await postgresStoreStand();
  const { sql } = stand;
  const id = await stand.add();
  await prepare(stand, id);
  const run = await read(stand, id);
  await using paused = await pauseCommits({ sql });
  await sql.unsafe(`
    ALTER TABLE watchdog.leadership RENAME TO leadership_row;
    CREATE FUNCTION watchdog.epoch_after_pause() RETURNS bigint LANGUAGE plpgsql AS
      $$ BEGIN PERFORM pg_advisory_xact_lock_shared(${PAUSE_KEY});
        RETURN (SELECT epoch FROM watchdog.leadership_row); END $$;
    CREATE VIEW watchdog.leadership AS SELECT watchdog.epoch_after_pause() AS epoch`);
  const writing: Promise<WriteResult> = write(stand, run);
  await paused.waiting(1);
  await sql.unsafe(meanwhile);
  await paused.release();
  const result = await writing;
  const [row] = await sql`SELECT status, error_detail FROM automation_runs`;
  const [count] = await sql`SELECT count(*)::int AS journaled FROM watchdog.verdicts`;
  return { result, row, journaled: count?.["journaled"] };
}
