import { describe, expect, it } from "vitest";
import { type CpuProfile, timeByFile, timeByPackage } from "./time-by-file.ts";

const at = (id: number, functionName: string, url: string) => ({
  id,
  callFrame: { functionName, url, lineNumber: 0, columnNumber: 0 },
});

const PROFILE: CpuProfile = {
  nodes: [
    at(1, "(root)", ""),
    at(2, "(idle)", ""),
    at(3, "write", "node:net"),
    at(4, "writeBuffer", ""),
    at(5, "(garbage collector)", ""),
    at(6, "read", "node:net"),
  ],
  samples: [3, 2, 4, 6, 5, 5],
  // The time before the first sample belongs to none, and so does what follows the last one.
  timeDeltas: [50, 20, 1000, 10, 30, 40],
};

describe("timeByFile", () => {
  it("shares out the time between samples to the files, without that in which nothing was done", () => {
    expect(timeByFile(PROFILE)).toEqual([
      { file: "node:net", share: 0.5 },
      { file: "(garbage collector)", share: 0.4 },
      { file: "native writeBuffer", share: 0.1 },
    ]);
  });
});

describe("timeByPackage", () => {
  it("sums up files by where they come from", () => {
    const files = [
      { file: "postgres/src/connection.js", share: 0.25 },
      { file: "src/io/http/client.ts", share: 0.125 },
      { file: "@opentelemetry/api/build/index.js", share: 0.125 },
      { file: "postgres/src/types.js", share: 0.25 },
      { file: "node:net", share: 0.125 },
      { file: "native writeBuffer", share: 0.0625 },
      { file: "(garbage collector)", share: 0.0625 },
    ];
    expect(timeByPackage(files)).toEqual([
      { file: "postgres", share: 0.5 },
      { file: "node", share: 0.1875 },
      { file: "src", share: 0.125 },
      { file: "@opentelemetry/api", share: 0.125 },
      { file: "(garbage collector)", share: 0.0625 },
    ]);
  });
});
