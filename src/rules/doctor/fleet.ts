import { clockProblem } from "../clock-skew.ts";
import { readNote } from "../fleet/shard.ts";
import { LET_IT_LOOK_SELDOM } from "../remedy.ts";
import { type Check, ok, span, warning } from "./check.ts";

export interface FleetFacts {
  /** `null`: the leadership row is missing. */
  readonly state: FleetState | null;
  /** Newest first. */
  readonly workers: readonly SeenWorker[];
}

export interface FleetState {
  readonly installation: string;
  /** Which kind of lease the fleet uses, and how many shards, in one word; `null` when none leads. */
  readonly leaseKind: string | null;
  readonly sinceProgressMs: number | null;
  readonly sinceFinishMs: number | null;
  /** How long it is still paused; `null` or not above 0 when it is not. */
  readonly pausedForMs: number | null;
}

export interface SeenWorker {
  readonly holder: string;
  readonly version: string;
  readonly fingerprint: string;
  readonly leaseKind: string;
  readonly seenAgoMs: number;
}

/** How this configuration would be one of them. */
export interface OwnWorker {
  readonly version: string;
  readonly fingerprint: string;
  readonly leaseKind: string;
  readonly intervalMs: number;
}

/** A tick may come late, and the worker says that it is there with its ticks. */
const LATE_TICKS = 3;
const LATE_MS = 60_000;

export function checkFleet({ state, workers }: FleetFacts, own: OwnWorker): readonly Check[] {
  if (state === null) {
    return [warning("fleet", "watchdog.leadership has no row", "run `run-watchdog migrate`")];
  }
  const alive = workers.filter(
    ({ seenAgoMs }) => seenAgoMs < LATE_TICKS * own.intervalMs + LATE_MS,
  );
  return [checkLeaseKind(state, own), checkSweeps(state, own), checkWorkers(alive, own)];
}

function checkLeaseKind({ leaseKind }: FleetState, own: OwnWorker): Check {
  const link = "lease kind";
  if (leaseKind === null) return ok(link, `no worker has noted one, ours is ${own.leaseKind}`);
  if (leaseKind === own.leaseKind) return ok(link, `${leaseKind}, as noted by the fleet`);
  return warning(
    link,
    `ours is ${own.leaseKind}, the fleet's is ${leaseKind}: a worker with these settings stands by`,
    remedyOf(leaseKind, own.leaseKind),
  );
}

function remedyOf(noted: string, own: string): string {
  const [fleet, ours] = [readNote(noted), readNote(own)];
  if (fleet !== null && fleet.leaseKind === ours?.leaseKind) {
    return `set WATCHDOG_SHARDS=${fleet.shards} as the other workers do, or stop them first`;
  }
  return fleet?.leaseKind === "redis"
    ? "set REDIS_URL to the fleet's Redis, or stop the other workers first"
    : "unset REDIS_URL, or stop the other workers first";
}

function checkSweeps(
  { sinceFinishMs, sinceProgressMs, pausedForMs }: FleetState,
  own: OwnWorker,
): Check {
  const link = "sweeps";
  if (pausedForMs !== null && pausedForMs > 0) {
    return warning(
      link,
      `paused for ${span(pausedForMs)} more`,
      "run `run-watchdog resume` to end that",
    );
  }
  if (sinceFinishMs === null) return ok(link, "none has finished yet");
  const lateMs = LATE_TICKS * own.intervalMs;
  const last = `the last one finished ${span(sinceFinishMs)} ago`;
  if (Math.min(sinceFinishMs, sinceProgressMs ?? sinceFinishMs) <= lateMs) return ok(link, last);
  return warning(
    link,
    `${last}, and nobody has made progress since three ticks`,
    "start a worker (`run-watchdog run`), or see what /health of the running ones says",
  );
}

function checkWorkers(workers: readonly SeenWorker[], own: OwnWorker): Check {
  const link = "workers";
  if (workers.length === 0) return ok(link, "no other one was seen lately");
  const others = workers.filter(({ fingerprint }) => fingerprint !== own.fingerprint);
  const versions = workers.filter(({ version }) => version !== own.version);
  const count = `${workers.length} seen lately`;
  const differ = [
    ...(others.length === 0 ? [] : [`${others.length} with other settings`]),
    ...(versions.length === 0 ? [] : [`${versions.length} of another version`]),
  ];
  if (differ.length === 0) return ok(link, `${count}, configured like this`);
  return warning(
    link,
    `${count}, ${differ.join(", ")}`,
    ...[...new Set([...others, ...versions])].map(
      ({ holder, version, fingerprint }) =>
        `${holder}: version ${version}, fingerprint ${fingerprint}`,
    ),
    `ours: version ${own.version}, fingerprint ${own.fingerprint}; compare what \`run-watchdog config\` says there and here`,
  );
}

export interface HostWatchdogFacts {
  /** Runs of the last day that were ended as timed out and are not in the journal. */
  readonly count: number;
  readonly sinceLastMs: number | null;
}

/** Settings of the host that are in our environment, as they stand there; `null` for unset. */
export interface HostSettings {
  readonly watchdogIntervalSeconds: string | null;
  readonly failureThreshold: string | null;
  readonly consecutiveFailureThreshold: string | null;
}

const SEEN_BY = "see docs/running-beside-openhands.md";

export function checkHostWatchdog(
  { count, sinceLastMs }: HostWatchdogFacts,
  host: HostSettings,
): Check {
  const link = "host's watchdog";
  const interval = Number(host.watchdogIntervalSeconds ?? Number.NaN);
  const known = Number.isNaN(interval) ? "" : `; its interval here is ${span(interval * 1000)}`;
  if (count === 0) return ok(link, `others ended no run of the last day as timed out${known}`);
  const lastMs = sinceLastMs ?? 0;
  // Whoever is ahead ends what is not past its deadline yet, however seldom it looks.
  const clock = lastMs < 0 ? clockProblem("whoever ended them", -lastMs, "Postgres's") : null;
  const last = clock === null ? `the last ${span(Math.max(0, lastMs))} ago` : clock;
  return warning(
    link,
    `others ended ${count} runs of the last day as timed out, ${last}${known}`,
    `${LET_IT_LOOK_SELDOM} (${SEEN_BY})`,
  );
}

/** The host counts failures, ours among them, at its next callback or dispatch. */
export function checkAutoDisable({
  failureThreshold,
  consecutiveFailureThreshold: inARow,
}: HostSettings): Check {
  const link = "auto-disable";
  if (inARow !== null) {
    return warning(
      link,
      `the host disables an automation after ${inARow} failures in a row, verdicts of this worker included`,
      "see that the number is larger than what one outage may cost an automation",
    );
  }
  const rule =
    failureThreshold === null
      ? ""
      : `; the one on ${failureThreshold} permanent failures never counts ours`;
  return ok(link, `no rule that counts our verdicts is set here${rule}`);
}
