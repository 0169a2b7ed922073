/** What the texts of the statements must have in common, since each of them can be read by itself. */
import { getTableColumns } from "drizzle-orm";
import { describe, expect, it } from "vitest";
import { APPLY } from "../../../../src/io/postgres/runs/apply.ts";
import { DEFER } from "../../../../src/io/postgres/runs/defer.ts";
import { DEFER_SKIPPED } from "../../../../src/io/postgres/runs/defer-skipped.ts";
import { NOTE_ERROR } from "../../../../src/io/postgres/runs/run-notes.ts";
import { WRITE_FACTS } from "../../../../src/io/postgres/runs/write-facts.ts";
import { suspicions, verdicts } from "../../../../src/io/postgres/schema.ts";

const HOST = {
  statusDetail: true,
  sandboxCleanupDueAt: true,
  keepAlive: true,
  presetMetadata: true,
  updatedAt: true,
};

const FIRST = { shard: 0 };

const notes = [
  { name: "a deferral", text: DEFER(FIRST)(HOST).text },
  { name: "a deferral of skipped runs", text: DEFER_SKIPPED(FIRST).text },
  { name: "a note of an error", text: NOTE_ERROR(FIRST).text },
];

const verdict = { name: "a verdict", text: APPLY(FIRST)({ isRemembered: false })(HOST).text };

describe("the text of a statement that inserts a row", () => {
  it.each([verdict, ...notes])(
    "names its values in the order of its columns: $name",
    ({ text }) => {
      const [, columns = "", values = ""] =
        /INSERT INTO [\w.]+(?: AS s)? \(([^)]+)\)\s+SELECT(.+)FROM/s.exec(text) ?? [];
      const named = [...values.matchAll(/ AS (\w{2,}),?$/gm)].map(([, name]) => name);
      expect(named.length).toBeGreaterThan(7);
      expect(named).toEqual(columns.trim().split(/,\s*/));
    },
  );

  it("writes every column that a verdict is born with", () => {
    const [, columns = ""] = /INSERT INTO watchdog.verdicts \(([^)]+)\)/.exec(verdict.text) ?? [];
    const later = ["id", "cleanup_attempts", "cleanup_error", "overturned_at"];
    const born = columnsOf(verdicts).filter((name) => !later.includes(name));
    expect(columns.trim().split(/,\s*/).sort()).toEqual(born.sort());
  });

  it.each(notes)(
    "says of every column what becomes of it when there is a row: $name",
    ({ text }) => {
      const [, set = ""] = /ON CONFLICT \(run_id\) DO UPDATE SET(.+)/s.exec(text) ?? [];
      const named = [...set.matchAll(/^\s*(\w+) = /gm)].map(([, name]) => name);
      const columns = columnsOf(suspicions).filter((name) => name !== "run_id");
      expect(named.sort()).toEqual(columns.sort());
    },
  );
});

describe("the text of a guarded write", () => {
  const facts = guardOf(WRITE_FACTS(FIRST).text);

  it.each([verdict, ...notes.slice(0, 1)])(
    "repeats what is asked when it had no effect: $name",
    ({ text }) => {
      expect(facts).toHaveLength(6);
      expect(guardOf(text)).toEqual([
        ...facts,
        "(SELECT epoch FROM watchdog.leadership) = $n::bigint",
      ]);
    },
  );
});

/** The conditions on the run, as they are but for the numbers of their parameters. */
function guardOf(text: string): readonly string[] {
  const [, where = ""] = /FROM automation_runs\s+WHERE (.+?)(?:FOR NO KEY|\) AS)/s.exec(text) ?? [];
  const plain = where.replace(/ *--.*$/gm, "").replace(/\$\d+/g, "$n");
  return plain.split(/\sAND\s/).map((condition) => condition.trim());
}

function columnsOf(table: typeof suspicions | typeof verdicts): string[] {
  return Object.values(getTableColumns(table)).map(({ name }) => name);
}
