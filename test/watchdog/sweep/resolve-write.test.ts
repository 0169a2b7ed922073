import { describe, expect, it, vi } from "vitest";
import { FencedError, StoreUnavailableError } from "../../../src/watchdog/errors.ts";
import type { Fence } from "../../../src/watchdog/ports.ts";
import type { WriteFacts, WriteResult } from "../../../src/watchdog/store-ports.ts";
import { resolveWrite } from "../../../src/watchdog/sweep/resolve-write.ts";
import { snapshot } from "../../support/stands/snapshot.ts";
import { sweepWorld } from "../../support/stands/sweep-world.ts";

const FENCE: Fence = { shard: 0, epoch: 7, check() {} };
const LOST = new StoreUnavailableError("the connection was lost");
const LATE = new StoreUnavailableError("no answer within 15000 ms", { late: true });

/** What is true when nothing has happened to the row, and nobody else leads. */
const UNCHANGED: WriteFacts = { journaled: false, epochIsOurs: true, rowMatches: true };
const CHANGED = { ...UNCHANGED, rowMatches: false };
const JOURNALED = { ...CHANGED, journaled: true };
const FENCED = { ...UNCHANGED, epochIsOurs: false };

type Attempt = WriteResult | "unknown" | "late";

interface Case {
  readonly name: string;
  readonly writes: readonly Attempt[];
  readonly facts?: readonly WriteFacts[];
  readonly journaled?: boolean;
  readonly expected: object;
}

const cases: readonly Case[] = [
  {
    name: "asks nothing after a write that returned its row",
    writes: [{ kind: "written" }],
    expected: { kind: "written" },
  },
  {
    name: "asks nothing while somebody else is writing the row",
    writes: [{ kind: "busy" }],
    expected: { kind: "busy" },
  },
  {
    name: "reports the cause of a rejection, and asks nothing",
    writes: [{ kind: "refused", cause: 'SQLSTATE 23514, constraint "c"' }],
    expected: { kind: "error", cause: 'SQLSTATE 23514, constraint "c"' },
  },
  {
    name: "finds that a row that does not match any more was lost to somebody else",
    writes: [{ kind: "none" }],
    facts: [CHANGED],
    expected: { kind: "lost-race" },
  },
  {
    name: "finds that a matching row means that the write was swallowed",
    writes: [{ kind: "none" }],
    facts: [UNCHANGED],
    expected: { kind: "error", cause: "the write had no effect (trigger or row security)" },
  },
  {
    name: "finds its own verdict in the journal after a lost acknowledgement",
    writes: ["unknown"],
    facts: [JOURNALED],
    expected: { kind: "written" },
  },
  {
    name: "asks the journal before the epoch",
    writes: ["unknown"],
    facts: [{ ...JOURNALED, epochIsOurs: false }],
    expected: { kind: "written" },
  },
  {
    name: "does not take a verdict for the acknowledgement of a deferral",
    writes: ["unknown"],
    facts: [JOURNALED],
    journaled: false,
    expected: { kind: "lost-race" },
  },
  {
    name: "finds that a row changed while its write was lost",
    writes: ["unknown"],
    facts: [CHANGED],
    expected: { kind: "lost-race" },
  },
  {
    name: "writes once more when a lost write left the row as it was",
    writes: ["unknown", { kind: "written" }],
    facts: [UNCHANGED],
    expected: { kind: "written" },
  },
  {
    name: "meets somebody else at the second attempt",
    writes: ["unknown", { kind: "busy" }],
    facts: [UNCHANGED],
    expected: { kind: "busy" },
  },
  {
    name: "is refused at the second attempt",
    writes: ["unknown", { kind: "refused", cause: "SQLSTATE P0001" }],
    facts: [UNCHANGED],
    expected: { kind: "error", cause: "SQLSTATE P0001" },
  },
  {
    name: "finds that the first attempt arrived late and made the second one miss",
    writes: ["unknown", { kind: "none" }],
    facts: [UNCHANGED, JOURNALED],
    expected: { kind: "written" },
  },
  {
    name: "finds that somebody else changed the row between the attempts",
    writes: ["unknown", { kind: "none" }],
    facts: [UNCHANGED, CHANGED],
    expected: { kind: "lost-race" },
  },
  {
    name: "finds that the second attempt was swallowed",
    writes: ["unknown", { kind: "none" }],
    facts: [UNCHANGED, UNCHANGED],
    expected: { kind: "error", cause: "the write had no effect (trigger or row security)" },
  },
  {
    name: "takes a write that is late twice while the database answers for the run's own trouble",
    writes: ["late", "late"],
    facts: [UNCHANGED, UNCHANGED],
    expected: { kind: "error", cause: LATE.message },
  },
  {
    name: "finds that one of two late attempts was executed after all",
    writes: ["late", "late"],
    facts: [UNCHANGED, JOURNALED],
    expected: { kind: "written" },
  },
  {
    name: "finds that somebody else changed the row while both attempts were late",
    writes: ["late", "late"],
    facts: [UNCHANGED, CHANGED],
    expected: { kind: "lost-race" },
  },
  {
    name: "forgets that the first attempt was late when the second one is not",
    writes: ["late", { kind: "written" }],
    facts: [UNCHANGED],
    expected: { kind: "written" },
  },
];

describe("resolveWrite", () => {
  for (const { name, writes, facts = [], journaled = true, expected } of cases) {
    it(name, async () => {
      const stand = scripted(writes, facts);
      expect(await stand.resolveWrite(journaled)).toEqual(expected);
      expect(stand.write).toHaveBeenCalledTimes(writes.length);
      expect(stand.facts.mock.calls).toEqual(facts.map(() => [snapshot(), FENCE]));
    });
  }

  const fenced: readonly (Omit<Case, "expected"> & { readonly facts: readonly WriteFacts[] })[] = [
    {
      name: "is fenced when a newer epoch explains the missing row",
      writes: [{ kind: "none" }],
      facts: [FENCED],
    },
    {
      name: "asks for the epoch before the row",
      writes: [{ kind: "none" }],
      facts: [{ ...FENCED, rowMatches: false }],
    },
    {
      name: "is fenced, and does not write again, when a newer epoch came with a lost write",
      writes: ["unknown"],
      facts: [FENCED],
    },
    {
      name: "is fenced when a newer epoch came between the attempts",
      writes: ["unknown", { kind: "none" }],
      facts: [UNCHANGED, FENCED],
    },
    {
      name: "is fenced when a newer epoch came while both attempts were late",
      writes: ["late", "late"],
      facts: [UNCHANGED, FENCED],
    },
  ];
  for (const { name, writes, facts } of fenced) {
    it(name, async () => {
      const stand = scripted(writes, facts);
      await expect(stand.resolveWrite(true)).rejects.toThrow(FencedError);
      expect(stand.write).toHaveBeenCalledTimes(writes.length);
    });
  }

  it.each(["unknown", "late"] as const)(
    "gives up when the second attempt is lost as well, after one that was %s",
    async (first) => {
      const stand = scripted([first, "unknown"], [UNCHANGED]);
      await expect(stand.resolveWrite(true)).rejects.toBe(LOST);
      expect(stand.write).toHaveBeenCalledTimes(2);
    },
  );

  it("gives up when nobody can tell what became of a lost write", async () => {
    const stand = scripted(["unknown"], []);
    stand.facts.mockRejectedValue(LOST);
    await expect(stand.resolveWrite(true)).rejects.toBe(LOST);
    expect(stand.write).toHaveBeenCalledTimes(1);
  });

  it("passes on what the fence's check throws, and asks nothing", async () => {
    const stand = scripted([], []);
    const reason = new Error("the lease is gone");
    stand.write.mockRejectedValue(reason);
    await expect(stand.resolveWrite(true)).rejects.toBe(reason);
    expect(stand.facts).not.toHaveBeenCalled();
  });
});

function scripted(writes: readonly Attempt[], facts: readonly WriteFacts[]) {
  const { store } = sweepWorld();
  const write = vi.fn<() => Promise<WriteResult>>();
  for (const result of writes) {
    if (result === "unknown") write.mockRejectedValueOnce(LOST);
    else if (result === "late") write.mockRejectedValueOnce(LATE);
    else write.mockResolvedValueOnce(result);
  }
  const asked = vi.spyOn(store, "facts");
  for (const answer of facts) asked.mockResolvedValueOnce(answer);
  return {
    write,
    facts: asked,
    resolveWrite: (journaled: boolean) => resolveWrite(store, snapshot(), FENCE, journaled, write),
  };
}
