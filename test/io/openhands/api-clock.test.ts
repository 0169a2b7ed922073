import { describe, expect, it } from "vitest";
import { skewMs } from "../../../src/rules/clock-skew.ts";
import { sendJson } from "../../services/http-server.ts";
import { bashOutput, type CloudSetup, calm, cloudWorld, runOf } from "../http/world.ts";

const HOUR_MS = 3_600_000;

describe("the clock of the shared API", () => {
  it("is what its own answers tell, and not what a tenant's agent server does", async () => {
    const date = inHttp(Date.now() - HOUR_MS);
    const body = { items: [bashOutput()], next_page_id: null };
    expect(
      await skewAfter({ search: (_, response) => sendJson(response, 200, body, { date }) }),
    ).toBe(0);
  });

  it("is told by a refusal as well, which it may be the cause of", async () => {
    const date = inHttp(Date.now() - HOUR_MS);
    const skew = await skewAfter({
      mint: (_, response) => sendJson(response, 401, {}, { date }),
    });
    expect(skew).toBeGreaterThan(-HOUR_MS - 60_000);
    expect(skew).toBeLessThan(-HOUR_MS + 2_000);
  });
});

async function skewAfter(routes: NonNullable<CloudSetup["routes"]>): Promise<number | null> {
  await using world = await cloudWorld({ routes });
  await world.backend.verify(runOf(), calm());
  const reading = world.backend.api?.clock ?? null;
  return reading && skewMs(reading);
}

function inHttp(ms: number): string {
  return new Date(ms).toUTCString();
}
