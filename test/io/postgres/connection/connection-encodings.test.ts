/** Databases that are not UTF-8: what comes from outside is written without what they cannot hold. */
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { observation } from "../../../../src/rules/suspicion.ts";
import { seedRun } from "../../../fake-host/seed.ts";
import { createDatabase, type TestDatabase } from "../../../services/postgres/database.ts";
import {
  type EmbeddedPostgres,
  startPostgres,
} from "../../../services/postgres/embedded-postgres.ts";
import { encodeNewDatabases } from "../../../services/postgres/encoded-databases.ts";
import {
  deferring,
  epochRequest,
  FREELY,
  failing,
  noCheck,
  openStores,
  readRun,
  takeEpoch,
} from "../../../support/stands/stores.ts";
import { createWorld, exitedWith, randomCommandId } from "../../../support/world/world.ts";

const WRITTEN = { kind: "written" };

let server: EmbeddedPostgres;

beforeAll(async () => {
  server = await startPostgres({ settings: { fsync: "off" } });
});

afterAll(() => server?.stop());

const SAID = "boom é ř 日本 😀!";

const cases = [
  ["LATIN1", "boom é   !"],
  ["WIN1252", "boom é   !"],
  ["LATIN2", "boom é   !"],
  ["EUC_JP", "boom é ř 日本 !"],
  ["KOI8R", "boom    !"],
  ["SQL_ASCII", SAID],
  ["UTF8", SAID],
] as const;

describe("a run that says what its database may not be able to hold", () => {
  it.each(cases)(
    "gets its verdict in %s, and as much of its text as fits",
    async (encoding, fits) => {
      await encodeNewDatabases(server, encoding);
      await using world = await createWorld({ server: server.url() });
      const bashCommandId = randomCommandId();
      const output = { ...exitedWith(1, { bashCommandId }), stderr: SAID };
      const { id } = await world.seed({ bashCommandId }, { outputs: [output] });
      const report = await world.sweep();
      expect(report).toMatchObject({ status: "ok", counts: { failed: 1 }, cleanups: { done: 1 } });
      const { status, error_detail } = await world.row(id);
      expect({ status, error_detail }).toEqual({
        status: "FAILED",
        error_detail: `exit_code=1\nstderr: ${fits}`,
      });
    },
  );

  it("keeps the letters of its language where only an emoji does not fit", async () => {
    await encodeNewDatabases(server, "LATIN2");
    await using world = await setup();
    const { store } = world.stores;
    const { id } = await seedRun(world.sql);
    const run = await readRun(world.stores, id);
    expect(await store.apply(failingWith("příliš 😀 žluťoučký"), world.fence)).toEqual(WRITTEN);
    const [row] = await world.sql`SELECT error_detail FROM automation_runs`;
    expect(row).toEqual({ error_detail: "příliš  žluťoučký" });

    function failingWith(errorDetail: string) {
      const write = failing(run);
      if (write.verdict.kind !== "fail") throw new Error("not a failure");
      return { ...write, verdict: { ...write.verdict, errorDetail } };
    }
  });
});

describe("a text from outside", () => {
  it("is written wherever there is one, without the character that does not fit", async () => {
    await encodeNewDatabases(server, "LATIN1");
    await using world = await setup();
    const { sql, stores, fence } = world;
    const { store, journal, leadership } = stores;
    const ended = await readRun(stores, (await seedRun(sql)).id);
    const left = await readRun(stores, (await seedRun(sql)).id);
    const erring = await seedRun(sql);
    const statusDetail = '{"detail":"é😀"}';
    const write = failing(ended, {
      evidence: { kind: "gone", state: "é😀" },
      holder: "é😀",
      overrideReason: "é😀",
    });
    const verdict = {
      ...write.verdict,
      reason: "é😀",
      errorDetail: "Timed out: é😀",
      statusDetail,
    };
    expect(await store.apply({ ...write, verdict }, fence)).toEqual(WRITTEN);
    const suspicion = observation(null, "é😀", 0);
    expect(await store.defer(deferring(left, { statusDetail, suspicion }), fence)).toEqual(WRITTEN);
    await store.noteError({ runId: erring.id, cause: "é😀", retryInMs: 60_000 }, fence);
    const [task] = await journal.claimCleanups(fence, 1);
    await journal.cleanupFailed(task?.id ?? 0, "é😀", 60_000, fence);
    await leadership.finish(fence, { status: "ok", message: "é😀" }, FREELY);
    await leadership.begin(epochRequest({ leaseValue: "é😀", trigger: "once" }), noCheck);

    const [found] = await sql`
      SELECT r.error_detail, r.status_detail::text, v.reason, v.evidence, v.holder, v.override_reason,
             v.cleanup_error, l.last_report, l.holder AS leader,
             (SELECT json_agg(presumed_reason) FROM watchdog.suspicions
              WHERE presumed_reason IS NOT NULL) AS presumed,
             (SELECT json_agg(error_cause) FROM watchdog.suspicions
              WHERE error_cause IS NOT NULL) AS causes,
             (SELECT status_detail::text FROM automation_runs WHERE id = ${left.id}) AS left
      FROM automation_runs r JOIN watchdog.verdicts v ON v.run_id = r.id, watchdog.leadership l`;
    expect(found).toEqual({
      error_detail: "Timed out: é",
      status_detail: '{"detail":"é"}',
      reason: "é",
      evidence: { kind: "gone", state: "é" },
      holder: "é",
      override_reason: "é",
      cleanup_error: "é",
      last_report: { status: "ok", message: "é" },
      leader: "é",
      presumed: ["é"],
      causes: ["é"],
      left: '{"detail":"é"}',
    });
  });

  it("is added to what the host has stored without a loss to that", async () => {
    await encodeNewDatabases(server, "LATIN1");
    await using world = await createWorld({ server: server.url() });
    const bashCommandId = randomCommandId();
    const { automationId } = await world.seed(
      { bashCommandId },
      { outputs: [exitedWith(0, { bashCommandId })] },
    );
    await world.database.sql`
      UPDATE automations SET preset_metadata =
        ${'{"name": "é", "template": {"version": "\\u010d\\ud83d\\ude00"}}'}::text::json`;
    await world.sweep();
    const [row] = await world.database.sql`
      SELECT preset_metadata FROM automations WHERE id = ${automationId}`;
    expect(row).toMatchObject({
      preset_metadata: {
        name: "é",
        template: { version: "č😀" },
        first_run: { status: "success", template_version: "č😀" },
      },
    });
  });

  it("is sent again only after the fence was asked once more", async () => {
    await encodeNewDatabases(server, "LATIN1");
    await using world = await setup();
    const { stores, sql } = world;
    const { id } = await seedRun(sql);
    const lost = new Error("the lease is lost");
    const check = vi.fn();
    check.mockReturnValueOnce(undefined).mockImplementationOnce(() => {
      throw lost;
    });
    const note = { runId: id, cause: "é😀", retryInMs: 1 };
    const noting = stores.store.noteError(note, { ...world.fence, check });
    await expect(noting).rejects.toBe(lost);
    expect(check).toHaveBeenCalledTimes(2);
    expect(await sql`SELECT FROM watchdog.suspicions`).toHaveLength(0);
  });
});

async function setup() {
  await using resources = new AsyncDisposableStack();
  const database: TestDatabase = resources.use(await createDatabase({ server: server.url() }));
  const stores = resources.use(openStores(database.connection));
  const fence = await takeEpoch(stores);
  const opened = resources.move();
  const { sql } = database;
  return { sql, stores, fence, [Symbol.asyncDispose]: () => opened.disposeAsync() };
}
