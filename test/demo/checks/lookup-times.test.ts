import { describe, expect, it } from "vitest";
import { startFakeHost } from "../../fake-host/fake-host.ts";
import { LookupTimes } from "./lookup-times.ts";

describe("LookupTimes", () => {
  it("notes when a sandbox was looked up, and nothing once it is disposed of", async () => {
    await using host = await startFakeHost();
    const before = Date.now();
    using lookupTimes = new LookupTimes(host);
    const lookUp = (id: string) => fetch(`${host.url}/api/v1/sandboxes?id=${id}`);
    await lookUp("a");
    await lookUp("a");
    await fetch(`${host.agentUrl("a")}/server_info`);
    lookupTimes[Symbol.dispose]();
    await lookUp("a");
    const [first = 0, second = 0, ...more] = lookupTimes.of("a");
    expect(first).toBeGreaterThanOrEqual(before);
    expect(second).toBeGreaterThanOrEqual(first);
    expect(second).toBeLessThanOrEqual(Date.now());
    expect(more).toEqual([]);
    expect(lookupTimes.of("b")).toEqual([]);
  });
});
