import { describe, expect, it } from "vitest";
import {
  leaseContendInMs,
  leaseRenewAtMs,
  leaseRenewalRetryAtMs,
  leaseTrustedUntilMs,
} from "../../src/rules/timing.ts";

const TIMING = { ttlMs: 15_000, renewMs: 5_000, marginMs: 2_000 };

describe("leaseTrustedUntilMs", () => {
  it("is the time to live after the sending, less the margin", () => {
    expect(leaseTrustedUntilMs(1_000, TIMING)).toBe(14_000);
  });

  it("is the sending itself when the margin is as long as the time to live, or longer", () => {
    expect(leaseTrustedUntilMs(1_000, { ...TIMING, marginMs: 15_000 })).toBe(1_000);
    expect(leaseTrustedUntilMs(1_000, { ...TIMING, marginMs: 15_001 })).toBe(1_000);
  });
});

describe("leaseRenewAtMs", () => {
  it("is one renewal distance after the sending", () => {
    expect(leaseRenewAtMs(1_000, TIMING)).toBe(6_000);
  });
});

describe("leaseRenewalRetryAtMs", () => {
  it("is one second after the sending", () => {
    expect(leaseRenewalRetryAtMs(1_000)).toBe(2_000);
  });
});

describe("leaseContendInMs", () => {
  const cases = [
    { name: "contends at once for a lease that is free", expiresInMs: 0, fraction: 0.5, wait: 0 },
    { name: "waits for one that is held until it expires", expiresInMs: 1, fraction: 0, wait: 1 },
    { name: "adds up to 200 ms of jitter", expiresInMs: 8_000, fraction: 0.75, wait: 8_150 },
    {
      name: "does not wait for one that never expires",
      expiresInMs: null,
      fraction: 0,
      wait: null,
    },
  ];
  for (const { name, expiresInMs, fraction, wait } of cases) {
    it(name, () => {
      expect(leaseContendInMs(expiresInMs, fraction)).toBe(wait);
    });
  }

  const again = [
    { name: "waits a second when it is refused a free one again", expiresInMs: 0, wait: 1000 },
    { name: "waits no longer than one lasts that runs out sooner", expiresInMs: 1, wait: 1 },
    { name: "never waits for one without an expiry", expiresInMs: null, wait: null },
  ];
  for (const { name, expiresInMs, wait } of again) {
    it(name, () => {
      expect(leaseContendInMs(expiresInMs, 0, 2)).toBe(wait);
      expect(leaseContendInMs(expiresInMs, 0, 100)).toBe(wait);
    });
  }

  it("tries one at once that has run out by now", () => {
    expect(leaseContendInMs(-199, 0.9)).toBe(0);
  });
});
