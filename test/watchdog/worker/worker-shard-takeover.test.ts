/** How soon the shards of a worker that was killed go on: within one lease and a second, whenever it dies. */
import { describe, expect, it, vi } from "vitest";
import { settle } from "../../support/memory/fake-clock.ts";
import { shardCrew } from "../../support/stands/shard-crew.ts";
import { INTERVAL_MS } from "../../support/stands/worker-world.ts";

const TTL_MS = 15_000;
const RENEW_MS = 5_000;
const WITHIN_MS = TTL_MS + 1_000;
const INSTALLATION = "7d0c1d8e";
const DEAD = "host-9/1/dead";
const VALUE = `${DEAD}/token`;

describe("the shards of a worker that was killed right after a renewal", () => {
  const deaths = [
    { name: "early between two ticks", afterMs: 7_000 },
    { name: "in the middle", afterMs: 23_400 },
    { name: "so that its leases run out right before a tick", afterMs: INTERVAL_MS - TTL_MS - 150 },
    { name: "so that they run out with a tick", afterMs: INTERVAL_MS - TTL_MS },
    { name: "so that they run out right after a tick", afterMs: INTERVAL_MS - TTL_MS + 150 },
    { name: "right before a tick", afterMs: INTERVAL_MS - 50 },
  ];
  const cases = deaths.flatMap((death) =>
    [1, 2].flatMap((survivors) => [0, 0.99].map((jitter) => ({ ...death, survivors, jitter }))),
  );

  it.each(cases)(
    "go on with $survivors others within a lease and a second when it dies $name, jitter $jitter",
    async ({ afterMs, survivors, jitter }) => {
      await using crew = shardCrew({ shards: 4, workers: survivors });
      const { deps, tick, clock } = crew;
      vi.spyOn(deps.random, "fraction").mockReturnValue(jitter);
      await settle();
      await tick();
      await clock.advance(INTERVAL_MS - 2_500);
      const victim = await victimOf(crew, [1, 3]);
      verifySlowly(crew);
      const before = victim.epochs();
      await tick(0);
      await victim.livesFor(afterMs);
      expect(victim.epochs()).toEqual(before);
      await victim.untilGone(WITHIN_MS, afterMs);
      expect(victim.epochs()).toEqual(before.map((epoch) => epoch + 1));
    },
  );
});

describe("shards that were handed over to a worker that was killed right after", () => {
  it("go on with the one that had them, although nobody else is there and no tick comes", async () => {
    await using crew = shardCrew({ shards: 4, workers: 1 });
    const { deps, lease, tick, clock, workers } = crew;
    const [worker] = workers;
    vi.spyOn(deps.random, "fraction").mockReturnValue(0.99);
    verifySlowly(crew);
    await settle();
    await tick();
    expect(worker?.led()).toEqual([0, 1, 2, 3]);
    await clock.advance(INTERVAL_MS / 2);
    await newcomerIsListed(crew);
    await clock.advance(INTERVAL_MS / 2 - 2_500);
    await tick(0);
    const left = worker?.led() ?? [];
    expect(left).toHaveLength(2);
    const given = [0, 1, 2, 3].filter((shard) => !left.includes(shard));
    for (const shard of given) {
      const answer = await lease.ofShard(shard).acquire(INSTALLATION, VALUE, TTL_MS);
      expect(answer).toEqual({ kind: "acquired" });
    }
    await clock.advance(TTL_MS - 1);
    expect(worker?.led()).toEqual(left);
    await clock.advance(WITHIN_MS - TTL_MS + 1);
    expect(worker?.led()).toEqual([0, 1, 2, 3]);
  });

  it("are left alone while whoever took them goes on", async () => {
    await using crew = shardCrew({ shards: 4, workers: 1 });
    const { hire, tick, clock, workers } = crew;
    const [worker] = workers;
    verifySlowly(crew);
    await settle();
    await tick(INTERVAL_MS);
    const second = hire(2);
    await settle();
    await tick();
    const taken = second.led();
    expect(taken).toHaveLength(2);
    await clock.advance(INTERVAL_MS - 5_000);
    expect(second.led()).toEqual(taken);
    expect(worker?.led()).toHaveLength(2);
    await second.stop();
  });
});

type Crew = ReturnType<typeof shardCrew>;

/** Sweeps that outlast several ticks, and make progress all the time. */
function verifySlowly({ db, backend, clock }: Crew): void {
  for (let number = 0; number < 40; number += 1) db.add();
  vi.spyOn(backend, "verify").mockImplementation(async (_, signal) => {
    await clock.sleep(INTERVAL_MS / 2, signal);
    return { kind: "exited", exitCode: 0, stdout: "", stderr: "" };
  });
}

function newcomerIsListed({ deps }: Crew): Promise<void> {
  const newcomer = { holder: DEAD, version: "1.2.3", fingerprint: "0123456789ab" };
  return deps.fleet.seen({ ...newcomer, leaseKind: "redis", shards: 4, upMs: 0 });
}

/** Somebody who leads these shards, is listed, renews in time, and is never heard of after that. */
async function victimOf(crew: Crew, shards: readonly number[]) {
  const { db, lease, clock, tick } = crew;
  const leases = shards.map((shard) => lease.ofShard(shard));
  await newcomerIsListed(crew);
  for (const own of leases) await own.acquire(INSTALLATION, VALUE, TTL_MS);
  return {
    epochs: () => shards.map((shard) => db.lead(shard).epoch),
    /** Its last renewal is the last thing it does. */
    async livesFor(ms: number): Promise<void> {
      let leftMs = ms;
      while (leftMs > 0) {
        const stepMs = Math.min(leftMs, RENEW_MS);
        await clock.advance(stepMs);
        for (const own of leases) expect(await own.renew(INSTALLATION, VALUE, TTL_MS)).toBe(true);
        leftMs -= stepMs;
      }
    },
    /** With the tick that comes meanwhile. */
    async untilGone(ms: number, sinceTickMs: number): Promise<void> {
      const toTickMs = INTERVAL_MS - sinceTickMs;
      if (toTickMs > ms) return await clock.advance(ms);
      await clock.advance(toTickMs);
      await tick(ms - toTickMs);
    },
  };
}
