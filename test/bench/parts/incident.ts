/**
 * The incident of the platform's own watchdog, before its fix, after it, and with this worker: ten stale runs, two
 * seconds per answer, and callbacks all the while, one of them about each stale run.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { type HostProcess, startHostProcess } from "../../fake-host/process-client.ts";
import { connect } from "../../services/postgres/server-databases.ts";
import type { Figure, Findings } from "../measure/figure.ts";
import { median, percentile } from "../measure/statistics.ts";
import { findPlatformWatchdog, type PlatformWatchdog } from "../processes/platform-watchdog.ts";
import type { Bench, Part } from "./part.ts";
import { type Played, Scene, STALE_RUNS, type Sweep } from "./scene.ts";
import { oneTransaction, transactionPerRun } from "./serial-watchdogs.ts";

const ANSWER_MS = 2000;
const ROUNDS = 5;
const IDLE_MS = 2500;
const MOST_SWEEP_S = 2.5;
const MOST_BY_IDLE = 1.5;
const SERIAL = "platform-watchdog";

export const INCIDENT: Part = {
  name: "incident",
  title: "ten stale runs, 2 s per answer, callbacks all the while; the platform's watchdog too",
  async measure(bench) {
    await using database = await bench.place.createDatabase();
    await using host = await startHostProcess();
    await host.send({ latencyMs: ANSWER_MS, of: "events" });
    const scene = new Scene(database, host);
    const figures = [
      ...(await ourFigures(bench, scene)),
      ...(await serialFigures(bench, scene, database.url)),
    ];
    if (!bench.options.withHost) return { figures, notes: [] };
    const platform = await findPlatformWatchdog();
    if (typeof platform === "string") {
      return { figures, notes: [`the platform's own watchdog is not there: ${platform}`] };
    }
    const { figures: theirs, notes } = await platformFindings(bench, host, platform);
    return { figures: [...figures, ...theirs], notes };
  },
};

/** A watchdog that asks about all at once: half of them come before it knows, the others about when it writes. */
function together(index: number): number {
  const half = STALE_RUNS / 2;
  return index < half ? ANSWER_MS / 2 : ANSWER_MS + (index - 1.5 * half) * 10;
}

/** One that asks in turn: half of them come before anybody was judged, the others a second after theirs was. */
function inTurn(index: number): number {
  return (index < STALE_RUNS / 2 ? index + 1.5 : 0.5) * ANSWER_MS;
}

async function ourFigures({ options, say }: Bench, scene: Scene): Promise<readonly Figure[]> {
  const rounds = options.rounds ?? ROUNDS;
  const idle: Played[] = [];
  const ours: Played[] = [];
  // The first round warms up the database and us.
  for (let round = 0; round <= rounds; round += 1) {
    say(`round ${round} of ${rounds}: nobody sweeps, then the worker does`);
    const alone = await scene.play({ application: "nobody", whenOf: together, sweep: nobody });
    const swept = await scene.play({
      application: "run-watchdog",
      whenOf: together,
      sweep: scene.worker,
    });
    if (round > 0) {
      idle.push(alone);
      ours.push(swept);
    }
  }
  const idleMs = idle.flatMap(({ waits }) => waits.all);
  const ourMs = ours.flatMap(({ waits }) => waits.all);
  const sum = (of: (played: Played) => number) => ours.reduce((all, played) => all + of(played), 0);
  const samples = sum((played) => played.samples);
  const tookS = median(ours.map(({ tookMs }) => tookMs)) / 1000;
  const byIdle = percentile(ourMs, 99) / percentile(idleMs, 99);
  return [
    ...waitFigures("nobody sweeps", idleMs),
    { name: "worker: sweep", value: tookS, unit: "s", limit: { atMost: MOST_SWEEP_S } },
    ...waitFigures("worker", ourMs),
    {
      name: "worker: callbacks' p99 by that without a sweep",
      value: byIdle,
      unit: "",
      limit: { atMost: MOST_BY_IDLE },
    },
    {
      name: "worker: longest row lock, 5 ms more or less",
      value: Math.max(...ours.map(({ longestLockMs }) => longestLockMs)),
      unit: "ms",
    },
    { name: "worker: samples", value: samples, unit: "" },
    {
      name: "worker: samples idle in transaction",
      value: sum((played) => played.idleInTransaction),
      unit: "",
      limit: { atMost: 0 },
    },
    { name: "worker: blocked writers", value: sum((played) => played.blockedWriters), unit: "" },
  ];
}

const nobody: Sweep = async (_, begun) => {
  begun();
  await sleep(IDLE_MS);
  return IDLE_MS;
};

async function serialFigures(
  { say }: Bench,
  scene: Scene,
  databaseUrl: string,
): Promise<readonly Figure[]> {
  const sql = connect(`${databaseUrl}?application_name=${SERIAL}`, 1);
  const figures: Figure[] = [];
  for (const [name, watchdog] of [
    ["platform before its fix", oneTransaction],
    ["platform after its fix", transactionPerRun],
  ] as const) {
    say(`${name}: one run after the other`);
    const sweep: Sweep = async (stale, begun) => {
      const startedMs = performance.now();
      begun();
      await watchdog(sql, stale, ANSWER_MS);
      return performance.now() - startedMs;
    };
    figures.push(
      ...figuresOf(name, await scene.play({ application: SERIAL, whenOf: inTurn, sweep })),
    );
  }
  await sql.end();
  return figures;
}

/** The real thing on its own tables, and the worker on the same. */
async function platformFindings(
  { place, say }: Bench,
  host: HostProcess,
  platform: PlatformWatchdog,
): Promise<Findings> {
  const { name } = platform;
  say(`${name}: mark_stale_runs, then the worker on the same tables`);
  try {
    await using database = await place.createDatabase((url) => platform.migrate(url));
    const scene = new Scene(database, host);
    const sweep = scene.asked(async ({ databaseUrl, api }) => {
      await platform.sweep(databaseUrl, api);
      return null;
    });
    // Its driver tells no name.
    const theirs = await scene.play({ application: "", whenOf: inTurn, sweep });
    const asOurs = { application: "run-watchdog", whenOf: together, sweep: scene.worker };
    const ours = await scene.play(asOurs);
    const figures = [...figuresOf(name, theirs), ...figuresOf("worker, same tables", ours)];
    return { figures, notes: [] };
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return { figures: [], notes: [`${name} could not be measured: ${why}`] };
  }
}

function figuresOf(name: string, played: Played): readonly Figure[] {
  const { tookMs, waits, longestLockMs, samples, idleInTransaction, blockedWriters } = played;
  const stuck = Math.max(...waits.stale) / 1000;
  return [
    { name: `${name}: sweep`, value: tookMs / 1000, unit: "s" },
    ...waitFigures(name, waits.all),
    { name: `${name}: slowest callback about a stale run`, value: stuck, unit: "s" },
    { name: `${name}: longest row lock, 5 ms more or less`, value: longestLockMs, unit: "ms" },
    { name: `${name}: samples`, value: samples, unit: "" },
    { name: `${name}: samples idle in transaction`, value: idleInTransaction, unit: "" },
    { name: `${name}: blocked writers`, value: blockedWriters, unit: "" },
  ];
}

function waitFigures(name: string, waitsMs: readonly number[]): readonly Figure[] {
  return [
    { name: `${name}: callbacks`, value: waitsMs.length, unit: "" },
    { name: `${name}: callbacks, p50`, value: percentile(waitsMs, 50), unit: "ms" },
    { name: `${name}: callbacks, p99`, value: percentile(waitsMs, 99), unit: "ms" },
    { name: `${name}: callbacks, max`, value: Math.max(...waitsMs), unit: "ms" },
  ];
}
