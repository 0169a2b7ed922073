import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { generateDrizzleJson, generateMigration } from "drizzle-kit/api";
import { describe, expect, it } from "vitest";
import * as schema from "../src/io/postgres/schema.ts";

const META = join(import.meta.dirname, "..", "drizzle", "meta");

describe("the migrations in drizzle/", () => {
  it("lead to the tables of schema.ts: nothing is left to generate", async () => {
    const last = readdirSync(META)
      .filter((name) => name.endsWith("_snapshot.json"))
      .sort()
      .at(-1);
    const snapshot = JSON.parse(readFileSync(join(META, last ?? ""), "utf8"));
    const current = generateDrizzleJson({ ...schema }, snapshot.id, ["watchdog"]);
    expect(await generateMigration(snapshot, current)).toEqual([]);
  });
});
