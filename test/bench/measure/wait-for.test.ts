import { describe, expect, it } from "vitest";
import { waitFor } from "./wait-for.ts";

describe("waitFor", () => {
  it("returns what is found, however often it has to look", async () => {
    let looks = 0;
    const look = async () => {
      looks += 1;
      return looks === 3 ? "it" : null;
    };
    expect(await waitFor("something", look)).toBe("it");
    expect(looks).toBe(3);
  });

  it("gives up with what it waited for", async () => {
    const nothing = () => Promise.resolve(null);
    await expect(waitFor("a standby", nothing, 0)).rejects.toThrow(
      "waited 0 s for a standby, found none",
    );
  });
});
