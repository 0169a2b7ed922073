import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { Docker } from "./engine.ts";
import { inspectImage } from "./image.ts";

const BASE = "200000000 /bin/sh -c #(nop) ADD file:1 in /\n";
const GOOD = { User: "1000:1000", Healthcheck: { Test: ["CMD", "node"] } };

const answering =
  (history: string, config: object): Docker =>
  async ([command = ""]) => ({ stdout: command === "history" ? history : JSON.stringify(config) });

const built = (bytes: number, config: object = GOOD) =>
  answering(`0 USER 1000\n${bytes} COPY /image/ /\n0 ENV NODE_ENV=production\n${BASE}`, config);

describe("inspectImage", () => {
  it("counts what is over the base, and nothing of that", async () => {
    const facts = await inspectImage(built(2_700_000), "i");
    expect(facts).toEqual({ ownBytes: 2_700_000, problems: [] });
  });

  it("allows 5 MiB", async () => {
    expect((await inspectImage(built(5 * 1024 * 1024), "i")).problems).toEqual([]);
    expect((await inspectImage(built(5 * 1024 * 1024 + 1), "i")).problems).toEqual([
      expect.stringContaining("found 5.0 MiB"),
    ]);
  });

  for (const user of ["", "0", "0:0", "root", "node"]) {
    it(`refuses the user "${user}"`, async () => {
      const { problems } = await inspectImage(built(1, { ...GOOD, User: user }), "i");
      expect(problems).toEqual([expect.stringContaining(`found "${user}"`)]);
    });
  }

  it("wants a health check", async () => {
    const { problems } = await inspectImage(built(1, { User: "1000" }), "i");
    expect(problems).toEqual(["wanted a HEALTHCHECK, found none"]);
  });

  it("says when the image is another one", async () => {
    const { problems } = await inspectImage(answering(BASE, GOOD), "i");
    expect(problems).toEqual([expect.stringContaining("found none")]);
  });

  it("knows the first line of our own in the Dockerfile", () => {
    const dockerfile = readFileSync(join(import.meta.dirname, "../../Dockerfile"), "utf8");
    // The last FROM is the image's base.
    expect(
      dockerfile
        .split(/^FROM .*\n/m)
        .at(-1)
        ?.split("\n")[0],
    ).toBe("ENV NODE_ENV=production");
  });
});
