import { randomUUID } from "node:crypto";
import { systemClock } from "../../src/io/clock.ts";
import { MemoryLease } from "../support/memory/memory-lease.ts";
import { describeLease } from "./lease.ts";

describeLease("the in-memory model", async () => {
  const lease = new MemoryLease(systemClock);
  const installation = randomUUID();
  return {
    lease,
    second: lease,
    installation,
    elsewhere: { lease, installation: randomUUID() },
    forget: async () => lease.forget(installation),
    [Symbol.asyncDispose]: async () => undefined,
  };
});
