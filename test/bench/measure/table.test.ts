import { describe, expect, it } from "vitest";
import { tableOf } from "./table.ts";

describe("tableOf", () => {
  it("aligns figures and says of each limit whether it holds", () => {
    const lines = tableOf({
      figures: [
        { name: "ratio", value: 0.27, unit: "", limit: { atLeast: 0.7 } },
        { name: "resident memory", value: 79.9, unit: "MB", limit: { atMost: 80 } },
        { name: "runs", value: 20_000, unit: "" },
      ],
      notes: ["256 at once"],
    });
    expect(lines).toEqual([
      "  ratio               0.27  at least 0.7   DOES NOT HOLD",
      "  resident memory  79.9 MB  at most 80 MB  holds",
      "  runs              20,000",
      "  256 at once",
    ]);
  });

  it("shows notes where there are no figures", () => {
    expect(tableOf({ figures: [], notes: ["nothing to measure"] })).toEqual([
      "  nothing to measure",
    ]);
  });
});
