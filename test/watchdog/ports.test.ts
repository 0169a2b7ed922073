import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";

const ROOT = join(import.meta.dirname, "..", "..");

describe("the table of promises in ports.ts", () => {
  const text = readFileSync(join(ROOT, "src/watchdog/ports.ts"), "utf8");
  const rows = text
    .split("\n")
    .filter((line) => line.startsWith(" * | "))
    .map((line) => line.slice(5, -2).split(" | "))
    .slice(2);

  it("is there", () => {
    expect(rows.length).toBeGreaterThan(7);
  });

  it.each(rows)("names files that exist: %s", (_, kept = "", held = "") => {
    const named = [
      ...kept.split(", ").map((file) => join("src", file)),
      ...held.split(", ").map((file) => join("test", file)),
    ];
    expect(named.filter((file) => !existsSync(join(ROOT, file)))).toEqual([]);
    expect(held).toMatch(/\.test\.ts$/);
  });
});
