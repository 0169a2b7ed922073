import { describe, expect, it } from "vitest";
import { type BatchWorld, batchWorld, exits, idsOf } from "./batch-world.ts";

type Records = readonly (object | null)[];

interface Case {
  readonly name: string;
  /** What is answered about `s0` to `s4`. */
  readonly body: (records: Records, world: BatchWorld) => unknown;
  /** The sandboxes that are asked about again, each alone. */
  readonly again: readonly number[];
  /** What is heard of some of them; the others are running. */
  readonly heard?: Readonly<Record<number, object>>;
}

const NO_RECORD = { kind: "gone", reason: "no-record" };
const none = idsOf(5).map(() => null);

const cases: readonly Case[] = [
  { name: "records in the order of the ids", body: (records) => records, again: [] },
  { name: "records in another order", body: (records) => records.toReversed(), again: [] },
  {
    name: "null in its place",
    body: (records) => records.with(2, null),
    again: [],
    heard: { 2: NO_RECORD },
  },
  {
    name: "nothing but null",
    body: () => none,
    again: [],
    heard: { 0: NO_RECORD, 1: NO_RECORD, 2: NO_RECORD, 3: NO_RECORD, 4: NO_RECORD },
  },
  {
    name: "null among records in another order",
    body: (records) => records.with(1, null).toReversed(),
    again: [1],
  },
  { name: "an entry too few", body: (records) => records.toSpliced(3, 1), again: [3] },
  {
    name: "an entry too few, with null in front of it",
    body: (records) => records.with(0, null).toSpliced(3, 1),
    again: [0, 3],
  },
  {
    name: "one null too few",
    body: () => none.slice(1),
    again: [0, 1, 2, 3, 4],
  },
  {
    name: "one null too many",
    body: (records) => [...records.with(1, null), null],
    again: [1],
  },
  {
    name: "a record twice, with null in its place",
    body: (records) => records.with(1, records[0] ?? null).with(4, null),
    again: [0, 1, 4],
  },
  {
    name: "a record that is told once more at the end",
    body: (records) => [...records, records[0]],
    again: [0],
  },
  {
    name: "another sandbox's record in one's place",
    body: (records, world) => records.with(1, world.record("s99")).with(3, null),
    again: [1, 3],
  },
  {
    name: "another sandbox's record besides",
    body: (records, world) => [world.record("s99", { status: "MISSING" }), ...records],
    again: [],
  },
  {
    name: "a record without an id",
    body: (records, world) => records.with(2, world.record("s2", { id: undefined })),
    again: [2],
  },
  {
    name: "an id that is a number",
    body: (records, world) => records.with(2, world.record("s2", { id: 2 })),
    again: [2],
  },
  {
    name: "a record without a status",
    body: (records) => records.with(2, { id: "s2" }),
    again: [2],
  },
  {
    name: "an unknown status",
    body: (records, world) => records.with(2, world.record("s2", { status: "HIBERNATED" })),
    again: [2],
  },
  {
    name: "a text among the records",
    body: (records) => [...records.slice(0, 4), "MISSING"],
    again: [4],
  },
  {
    name: "false for null",
    body: (records) => [...records.slice(0, 4), false],
    again: [4],
  },
  {
    name: "MISSING, which may only mean that an answer about several did not list it",
    body: (records, world) => records.with(2, world.record("s2", { status: "MISSING" })),
    again: [2],
  },
  {
    name: "other states",
    body: (_, world) => [
      world.record("s0", { status: "PAUSED" }),
      world.record("s1", { status: "ERROR" }),
      world.record("s2", { status: "STARTING", session_api_key: null, exposed_urls: null }),
      world.record("s3", { exposed_urls: null }),
      world.record("s4"),
    ],
    again: [],
    heard: {
      0: { kind: "gone", reason: "paused" },
      1: { kind: "gone", reason: "error" },
      2: { kind: "starting" },
      3: { kind: "gone", reason: "no-agent-server" },
    },
  },
];

describe("an answer about several sandboxes", () => {
  for (const { name, body, again, heard = {} } of cases) {
    const asked = again.length === 0 ? "says it all" : `asks again about ${again.join(", ")}`;
    it(`with ${name} ${asked}`, async () => {
      const ids = idsOf(5);
      await using world: BatchWorld = await batchWorld({
        answer: ({ ids: wanted }) => {
          if (wanted.length === 1) return undefined;
          return {
            status: 200,
            body: body(
              ids.map((id) => world.record(id)),
              world,
            ),
          };
        },
      });
      expect(await world.verify(ids)).toMatchObject(
        exits(ids).map((exited, index) => heard[index] ?? exited),
      );
      const alone = world.lookups.slice(1).map((lookup) => lookup.ids);
      expect(alone.toSorted()).toEqual(again.map((index) => [`s${index}`]));
      expect(world.backend.api).toMatchObject({ blockedReason: null, breaker: "closed" });
    });
  }

  it("takes MISSING from the single look-up", async () => {
    await using world: BatchWorld = await batchWorld({
      answer: ({ ids }) => ({
        status: 200,
        body: ids.map((id) => world.record(id, { status: "MISSING" })),
      }),
    });
    const missing = { kind: "gone", reason: "missing" };
    expect(await world.verify(idsOf(3))).toMatchObject([missing, missing, missing]);
    expect(world.sizes()).toEqual([3, 1, 1, 1]);
  });

  it("with one record that is too large is found with the single look-up", async () => {
    await using world: BatchWorld = await batchWorld({
      answer: ({ ids }) => ({
        status: 200,
        body: ids.map((id) => world.record(id, id === "s2" ? { more: idsOf(100_000) } : {})),
      }),
    });
    const evidence = await world.verify(idsOf(5));
    const tooLarge = {
      kind: "malformed",
      failure: { operation: "get_sandbox", message: expect.stringContaining("more than") },
    };
    expect(evidence).toMatchObject(exits(idsOf(5)).with(2, tooLarge));
  });

  it("of ordinary size is far below what is read at most", async () => {
    const text = "x".repeat(6_000);
    await using world: BatchWorld = await batchWorld({
      answer: ({ ids }) => ({
        status: 200,
        body: ids.map((id) => world.record(id, { sandbox_spec_id: text })),
      }),
    });
    expect(await world.verify(idsOf(50))).toMatchObject(exits(idsOf(50)));
    expect(world.sizes()).toEqual([50]);
  });
});
