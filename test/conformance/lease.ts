import { afterEach, describe, expect, it, vi } from "vitest";
import type { Lease } from "../../src/watchdog/ports.ts";

const LONG_TTL_MS = 60_000;
const SHORT_TTL_MS = 100;

/** One lease store as the suite uses it: empty, and for one test alone. */
export interface LeaseStand extends AsyncDisposable {
  /** Two clients that know nothing of each other, and one installation. */
  readonly lease: Lease;
  readonly second: Lease;
  readonly installation: string;
  /** Another installation, and a client that can reach it. */
  readonly elsewhere: { readonly lease: Lease; readonly installation: string };
  /** The store loses the lease behind everybody's back, as after FLUSHALL or a restore. */
  readonly forget: () => Promise<void>;
}

/** What every lease store promises, by the real clock. */
export function describeLease(name: string, open: () => Promise<LeaseStand>): void {
  describe(`the lease on ${name}`, () => {
    let stand: LeaseStand | null = null;

    afterEach(async () => {
      await stand?.[Symbol.asyncDispose]();
      stand = null;
    });

    async function setup(): Promise<LeaseStand> {
      stand = await open();
      return stand;
    }

    it("answers a ping", async () => {
      const { lease } = await setup();
      await expect(lease.ping()).resolves.toBeUndefined();
    });

    it("is acquired by exactly one of many who try at once", async () => {
      const { lease, second, installation } = await setup();
      const answers = await Promise.all(
        Array.from({ length: 20 }, (_, worker) =>
          (worker % 2 ? lease : second).acquire(installation, `w${worker}/t`, LONG_TTL_MS),
        ),
      );
      const winner = answers.findIndex(({ kind }) => kind === "acquired");
      expect(answers.filter(({ kind }) => kind === "acquired")).toHaveLength(1);
      for (const answer of answers) {
        if (answer.kind === "held") expect(answer.value).toBe(`w${winner}/t`);
      }
    });

    it("tells a refused worker who holds it and for how long", async () => {
      const { lease, second, installation } = await setup();
      await lease.acquire(installation, "host-1/4711/ab12/token", LONG_TTL_MS);
      const answer = await second.acquire(installation, "w2/t", LONG_TTL_MS);
      expect(answer).toEqual({
        kind: "held",
        value: "host-1/4711/ab12/token",
        expiresInMs: expect.any(Number),
      });
      const expiresInMs = answer.kind === "held" ? answer.expiresInMs : null;
      expect(expiresInMs).toBeGreaterThan(0);
      expect(expiresInMs).toBeLessThanOrEqual(LONG_TTL_MS);
    });

    it("is not acquired a second time under the same holder's next token", async () => {
      const { lease, installation } = await setup();
      await lease.acquire(installation, "w1/t1", LONG_TTL_MS);
      const answer = await lease.acquire(installation, "w1/t2", LONG_TTL_MS);
      expect(answer).toMatchObject({ kind: "held", value: "w1/t1" });
    });

    it("is renewed for the value that holds it: from now on, for the whole time to live", async () => {
      const { lease, second, installation } = await setup();
      await lease.acquire(installation, "w1/t", LONG_TTL_MS);
      expect(await lease.renew(installation, "w1/t", 2 * LONG_TTL_MS)).toBe(true);
      const answer = await second.acquire(installation, "w2/t", LONG_TTL_MS);
      expect(answer.kind === "held" && answer.expiresInMs).toBeGreaterThan(LONG_TTL_MS);
    });

    it("is not renewed for another value, and the holder's time stays what it was", async () => {
      const { lease, second, installation } = await setup();
      await lease.acquire(installation, "w1/t", LONG_TTL_MS);
      expect(await second.renew(installation, "w2/t", 2 * LONG_TTL_MS)).toBe(false);
      const answer = await second.acquire(installation, "w2/t", LONG_TTL_MS);
      expect(answer).toMatchObject({ kind: "held", value: "w1/t" });
      expect(answer.kind === "held" && answer.expiresInMs).toBeLessThanOrEqual(LONG_TTL_MS);
    });

    it("is not created by a renewal when nobody holds it", async () => {
      const { lease, second, installation } = await setup();
      expect(await lease.renew(installation, "w1/t", LONG_TTL_MS)).toBe(false);
      expect(await second.acquire(installation, "w2/t", LONG_TTL_MS)).toEqual({ kind: "acquired" });
    });

    it("is released for the value that holds it, and another worker acquires it at once", async () => {
      const { lease, second, installation } = await setup();
      await lease.acquire(installation, "w1/t", LONG_TTL_MS);
      expect(await lease.release(installation, "w1/t")).toBe(true);
      expect(await second.acquire(installation, "w2/t", LONG_TTL_MS)).toEqual({ kind: "acquired" });
    });

    it("is not released for another value, and stays with its holder", async () => {
      const { lease, second, installation } = await setup();
      await lease.acquire(installation, "w1/t", LONG_TTL_MS);
      expect(await second.release(installation, "w2/t")).toBe(false);
      expect(await lease.renew(installation, "w1/t", LONG_TTL_MS)).toBe(true);
    });

    it("is not released twice", async () => {
      const { lease, installation } = await setup();
      await lease.acquire(installation, "w1/t", LONG_TTL_MS);
      expect(await lease.release(installation, "w1/t")).toBe(true);
      expect(await lease.release(installation, "w1/t")).toBe(false);
    });

    it("is free again when it has run out, and is no longer its old holder's", async () => {
      const { lease, second, installation } = await setup();
      await lease.acquire(installation, "w1/t", SHORT_TTL_MS);
      await vi.waitFor(
        async () => {
          const answer = await second.acquire(installation, "w2/t", LONG_TTL_MS);
          expect(answer.kind).toBe("acquired");
        },
        { timeout: 20_000, interval: 20 },
      );
      expect(await lease.renew(installation, "w1/t", LONG_TTL_MS)).toBe(false);
      expect(await lease.release(installation, "w1/t")).toBe(false);
      expect(await second.renew(installation, "w2/t", LONG_TTL_MS)).toBe(true);
    });

    it("cannot be renewed once it has run out, even if nobody else came", async () => {
      const { lease, installation } = await setup();
      await lease.acquire(installation, "w1/t", SHORT_TTL_MS);
      // Renewing for one millisecond at a time lets it run out sooner or later, and then for good.
      await vi.waitFor(async () => expect(await lease.renew(installation, "w1/t", 1)).toBe(false), {
        timeout: 20_000,
        interval: 20,
      });
      expect(await lease.renew(installation, "w1/t", LONG_TTL_MS)).toBe(false);
    });

    it("is lost to its holder, and open to others, when the store forgets it", async () => {
      const { lease, second, installation, forget } = await setup();
      await lease.acquire(installation, "w1/t", LONG_TTL_MS);
      await forget();
      expect(await lease.renew(installation, "w1/t", LONG_TTL_MS)).toBe(false);
      expect(await second.acquire(installation, "w2/t", LONG_TTL_MS)).toEqual({ kind: "acquired" });
    });

    it("is independent of another shard's, which is the same for all who ask for it", async () => {
      const { lease, second, installation } = await setup();
      await lease.acquire(installation, "w1/t", LONG_TTL_MS);
      expect(await lease.ofShard(2).acquire(installation, "w1/u", LONG_TTL_MS)).toEqual({
        kind: "acquired",
      });
      expect(await second.ofShard(2).acquire(installation, "w2/t", LONG_TTL_MS)).toMatchObject({
        kind: "held",
        value: "w1/u",
      });
      expect(await second.ofShard(5).acquire(installation, "w2/t", LONG_TTL_MS)).toEqual({
        kind: "acquired",
      });
      expect(await lease.ofShard(2).renew(installation, "w1/t", LONG_TTL_MS)).toBe(false);
      expect(await lease.ofShard(2).release(installation, "w1/u")).toBe(true);
      expect(await lease.renew(installation, "w1/t", LONG_TTL_MS)).toBe(true);
      expect(await second.ofShard(5).release(installation, "w2/t")).toBe(true);
    });

    it("is independent of another installation's", async () => {
      const { lease, installation, elsewhere } = await setup();
      await lease.acquire(installation, "w1/t", LONG_TTL_MS);
      const there = elsewhere.installation;
      expect(await elsewhere.lease.acquire(there, "w2/t", LONG_TTL_MS)).toEqual({
        kind: "acquired",
      });
      expect(await elsewhere.lease.renew(there, "w1/t", LONG_TTL_MS)).toBe(false);
      expect(await elsewhere.lease.release(there, "w2/t")).toBe(true);
      expect(await lease.renew(installation, "w1/t", LONG_TTL_MS)).toBe(true);
    });
  });
}
