import { describe, expect, it } from "vitest";
import { ByteCollector } from "../../../src/io/backends/byte-collector.ts";

describe("ByteCollector", () => {
  it("joins chunks of any size, however often it grows", () => {
    const collector = new ByteCollector(100_000);
    const chunks = [0, 1, 4095, 1, 1, 9000, 50_000].map((size, index) =>
      Buffer.alloc(size, String(index)),
    );
    for (const chunk of chunks) expect(collector.add(chunk)).toBe(true);
    expect(collector.size).toBe(63_098);
    expect(collector.bytes.equals(Buffer.concat(chunks))).toBe(true);
  });

  it("takes bytes up to its limit", () => {
    const collector = new ByteCollector(6000);
    expect(collector.add(Buffer.alloc(5000, "a"))).toBe(true);
    expect(collector.add(Buffer.alloc(1000, "b"))).toBe(true);
    expect(collector.bytes.toString()).toBe(`${"a".repeat(5000)}${"b".repeat(1000)}`);
  });

  it("refuses a chunk that goes one byte over its limit, and keeps what it had", () => {
    const collector = new ByteCollector(6000);
    collector.add(Buffer.alloc(5000, "a"));
    expect(collector.add(Buffer.alloc(1001, "b"))).toBe(false);
    expect(collector.bytes.toString()).toBe("a".repeat(5000));
  });

  it("has nothing at first", () => {
    expect(new ByteCollector(10).bytes.length).toBe(0);
  });
});
