import { randomUUID } from "node:crypto";
import { describe, expect, it } from "vitest";
import { StatementRefusedError } from "../../../../src/io/postgres/connection/errors.ts";
import { SharedReads } from "../../../../src/io/postgres/runs/shared-reads.ts";
import type { RunSnapshot } from "../../../../src/rules/model.ts";
import { StoreUnavailableError } from "../../../../src/watchdog/errors.ts";
import type { StaleQuery } from "../../../../src/watchdog/store-ports.ts";
import { seedRuns } from "../../../fake-host/seed.ts";
import { createDatabase } from "../../../services/postgres/database.ts";
import { snapshot } from "../../../support/stands/snapshot.ts";
import { openStores, queryNow } from "../../../support/stands/stores.ts";

const QUERY: StaleQuery = {
  horizon: { text: "2026-03-01T12:00:00+00:00", ms: Date.UTC(2026, 2, 1, 12) },
  nullDeadlineAfterMs: 0,
  includeSuspected: false,
};

interface Sent {
  readonly ids: readonly string[];
  readonly query: StaleQuery;
  readonly fail: (error: Error) => void;
  /** Answers about those of its runs that there are. */
  readonly answer: (missing?: string) => void;
}

/** Statements that the test answers. */
function setup() {
  const sent: Sent[] = [];
  const reads = new SharedReads((ids, query) => {
    const { promise, resolve, reject } = Promise.withResolvers<readonly (RunSnapshot | null)[]>();
    const answer = (missing?: string) =>
      resolve(ids.map((id) => (id === missing ? null : snapshot({ id }))));
    sent.push({ ids, query, fail: reject, answer });
    return promise;
  });
  return { reads, sent, ids: () => sent.map(({ ids }) => ids) };
}

describe("runs that are read at the same time", () => {
  it("are not kept waiting for others", () => {
    const { reads, ids } = setup();
    void reads.read("a", QUERY);
    expect(ids()).toEqual([["a"]]);
  });

  it("share the next statement when they are wanted while one is under way", async () => {
    const { reads, sent, ids } = setup();
    const a = reads.read("a", QUERY);
    const [b, c] = [reads.read("b", QUERY), reads.read("c", QUERY)];
    expect(ids()).toEqual([["a"]]);
    sent[0]?.answer();
    expect(await a).toMatchObject({ id: "a" });
    expect(ids()).toEqual([["a"], ["b", "c"]]);
    sent[1]?.answer("b");
    expect(await b).toBeNull();
    expect(await c).toMatchObject({ id: "c" });
  });

  it("are read beside each other as soon as 64 wait", () => {
    const { reads, ids } = setup();
    void reads.read("first", QUERY);
    const names = Array.from({ length: 64 }, (_, n) => `run ${n}`);
    for (const name of names.slice(0, 63)) void reads.read(name, QUERY);
    expect(ids()).toEqual([["first"]]);
    void reads.read("run 63", QUERY);
    expect(ids()).toEqual([["first"], names]);
  });

  it("share no statement when they are compared with different horizons", async () => {
    const { reads, sent } = setup();
    const other = { ...QUERY };
    const first = reads.read("first", QUERY);
    const [a, b, c] = [reads.read("a", QUERY), reads.read("b", other), reads.read("c", QUERY)];
    sent[0]?.answer();
    await first;
    sent[1]?.answer();
    await Promise.all([a, c]);
    sent[2]?.answer();
    await b;
    const asked = sent.slice(1).map(({ ids, query }) => [ids, query === other]);
    expect(asked).toEqual([
      [["a", "c"], false],
      [["b"], true],
    ]);
  });

  it("are read one by one when their statement is refused, so that it concerns the one it is about", async () => {
    const { reads, sent, ids } = setup();
    const first = reads.read("first", QUERY);
    const [good, bad] = [reads.read("good", QUERY), reads.read("bad", QUERY)];
    sent[0]?.answer();
    await first;
    sent[1]?.fail(new StatementRefusedError("division by zero", "22012"));
    await expect.poll(() => ids().slice(2)).toEqual([["good"], ["bad"]]);
    const refused = expect(bad).rejects.toThrow("about bad alone");
    sent[2]?.answer();
    sent[3]?.fail(new StatementRefusedError("about bad alone", "22012"));
    expect(await good).toMatchObject({ id: "good" });
    await refused;
  });

  it("fail together when the database is away", async () => {
    const { reads, sent, ids } = setup();
    const first = reads.read("first", QUERY);
    const both = [reads.read("a", QUERY), reads.read("b", QUERY)];
    sent[0]?.answer();
    await first;
    const settled = Promise.allSettled(both);
    const away = new StoreUnavailableError("away");
    sent[1]?.fail(away);
    expect(await settled).toEqual([
      { status: "rejected", reason: away },
      { status: "rejected", reason: away },
    ]);
    expect(ids()).toHaveLength(2);
  });

  it("are shown each as it is, and none where there is none", async () => {
    await using database = await createDatabase();
    await using stores = openStores(database.connection);
    const runs = await seedRuns(
      database.sql,
      Array.from({ length: 200 }, () => ({})),
    );
    const query = await queryNow(stores);
    const wanted = runs.flatMap(({ id }) => [id, randomUUID()]);
    const found = await Promise.all(wanted.map((id) => stores.store.read(id, query)));
    const told = found.map((run) => run && [run.id, run.sandboxId, run.stale]);
    expect(told).toEqual(runs.flatMap(({ id, sandboxId }) => [[id, sandboxId, true], null]));
  });
});
