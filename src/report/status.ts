import { isInForce } from "../rules/fleet/pause.ts";
import { remedyFor } from "../rules/remedy.ts";
import type { WaitingCause, WaitingState } from "../rules/report.ts";
import { type FleetStatus, type FleetView, isCurrent } from "../rules/status/fleet-status.ts";
import { count, counted, duration, wrapped } from "./words.ts";

export type StatusDocument = ReturnType<typeof documentOf>;

/** Exactly one document and a newline. */
export function jsonStatus(view: FleetView, found: FleetStatus): string {
  return `${JSON.stringify(documentOf(view, found))}\n`;
}

/** Version 1, in its order of keys. */
function documentOf(view: FleetView, { status, exitCode, reasons }: FleetStatus) {
  const { lastPause, lastSweep, waiting, cleanups } = view;
  const withRemedy = (group: WaitingCause) => ({ ...group, remedy: remedyFor(group.cause) });
  return {
    version: 1 as const,
    status,
    exitCode,
    reasons,
    readAt: new Date(view.readAt).toISOString(),
    paused: isInForce(lastPause)
      ? { until: lastPause.until, by: lastPause.by, reason: lastPause.reason }
      : null,
    leader: {
      holder: view.leader,
      leaseKind: view.leaseKind,
      epoch: view.epoch,
      progressedSecondsAgo: seconds(view.sinceProgressMs),
    },
    lastSweep: {
      startedSecondsAgo: seconds(lastSweep.sinceStartMs),
      finishedSecondsAgo: seconds(lastSweep.sinceFinishMs),
      status: lastSweep.status,
      counts: lastSweep.counts,
    },
    ...(view.shards && {
      shards: view.shards.map(({ shard, holder, sinceFinishMs, sinceProgressMs }) => ({
        shard,
        holder,
        finishedSecondsAgo: seconds(sinceFinishMs),
        progressedSecondsAgo: seconds(sinceProgressMs),
      })),
    }),
    waiting: {
      ...waiting,
      causes: waiting.causes.map(withRemedy),
      failures: waiting.failures.map(withRemedy),
    },
    held: view.held.map(({ runId, heldMs, reason }) => ({
      runId,
      heldSeconds: seconds(heldMs),
      reason,
    })),
    cleanups: { pending: cleanups.pending, overdueSeconds: seconds(cleanups.overdueMs) },
    workers: view.workers.map(({ upMs, seenAgoMs, shards = 1, ...worker }) => ({
      ...worker,
      ...(shards > 1 && { shards }),
      upSeconds: seconds(upMs),
      seenSecondsAgo: seconds(seenAgoMs),
      current: isCurrent({ ...worker, upMs, seenAgoMs }, view.workers),
    })),
  };
}

/** For people, in lines of at most 80 characters: what is wrong first. */
export function humanStatus(view: FleetView, { status, reasons }: FleetStatus): string {
  const lines = [
    `run-watchdog: ${status}`,
    ...reasons.flatMap((reason) => wrapped(`- ${reason}`, 2, 4)),
    "",
    ...field("leader", leaderText(view)),
    ...field("last sweep", lastSweepText(view)),
    ...shardLines(view),
    ...field("waiting", waitingText(view)),
    ...heldLines(view),
    ...field("deletions", cleanupText(view)),
    ...workerLines(view),
  ];
  return `${lines.join("\n")}\n`;
}

const LABEL_CHARS = 12;

function field(label: string, text: string): readonly string[] {
  const indent = LABEL_CHARS + 2;
  const [first = "", ...rest] = wrapped(text, indent);
  return [`${label.padEnd(indent)}${first.slice(indent)}`, ...rest];
}

function leaderText({ leader, leaseKind, epoch, sinceProgressMs }: FleetView): string {
  if (sinceProgressMs === null) return "nobody has swept yet";
  const lease =
    leaseKind === null ? "has stopped in order" : `lease in ${STORES[leaseKind] ?? leaseKind}`;
  return `${leader ?? "the last one has stopped"}, ${lease}, epoch ${epoch}, active ${ago(sinceProgressMs)}`;
}

const STORES: Readonly<Record<string, string>> = { redis: "Redis", postgres: "Postgres" };

function lastSweepText({ lastSweep }: FleetView): string {
  const { sinceStartMs, sinceFinishMs, status, counts } = lastSweep;
  if (sinceStartMs === null) return "none";
  const before = status === null ? "" : `the one before: ${status}${countsText(counts)}`;
  if (sinceFinishMs === null) {
    return `begun ${ago(sinceStartMs)} and not finished${before === "" ? "" : `; ${before}`}`;
  }
  const took = duration(Math.max(0, sinceStartMs - sinceFinishMs));
  return `${status ?? "finished"} ${ago(sinceFinishMs)}, took ${took}${countsText(counts)}`;
}

function shardLines({ shards = [] }: FleetView): readonly string[] {
  if (shards.length === 0) return [];
  const lines = shards.flatMap(({ shard, holder, sinceFinishMs, sinceProgressMs }) => {
    const leader = holder ?? "its last leader has stopped";
    const isSwept = sinceFinishMs === null && sinceProgressMs !== null;
    const last = isSwept ? `being swept, active ${ago(sinceProgressMs)}` : sweptText(sinceFinishMs);
    return wrapped(`${shard}: ${leader}, ${last}`, 4, 6);
  });
  return [
    ...field("shards", `${count(shards.length)}; leader and last sweep above are shard 0's`),
    ...lines,
  ];
}

function sweptText(sinceFinishMs: number | null): string {
  return sinceFinishMs === null ? "not swept yet" : `swept ${ago(sinceFinishMs)}`;
}

const COUNTED: readonly (readonly [string, string])[] = [
  ["completed", "completed"],
  ["failed", "failed"],
  ["deferred", "deferred"],
  ["suspected", "suspected"],
  ["held", "held"],
  ["undetermined", "undetermined"],
  ["skipped", "skipped"],
  ["errors", "not handled"],
];

function countsText(counts: Readonly<Record<string, number>> | null): string {
  if (counts === null) return "";
  const parts = COUNTED.filter(([key]) => (counts[key] ?? 0) > 0);
  if (parts.length === 0) return ", no stale runs";
  return `, ${parts.map(([key, name]) => `${count(counts[key] ?? 0)} ${name}`).join(", ")}`;
}

const STATES: readonly WaitingState[] = ["held", "unanswered", "failing", "suspected", "alive"];

function waitingText({ waiting, readAt }: FleetView): string {
  const states = STATES.filter((state) => waiting[state] > 0);
  if (states.length === 0) return "no run";
  const parts = states.map((state) => `${count(waiting[state])} ${state}`);
  const { nextLookAt } = waiting;
  if (nextLookAt === null) return parts.join(", ");
  const inMs = Date.parse(nextLookAt) - Date.parse(readAt);
  return `${parts.join(", ")}; next look ${inMs > 0 ? `in ${duration(inMs)}` : "now"}`;
}

function heldLines({ held, waiting }: FleetView): readonly string[] {
  const lines = held.flatMap(({ runId, heldMs, reason }) =>
    wrapped(`${runId} held for ${duration(heldMs)}: ${reason ?? "no reason is known"}`, 4, 6),
  );
  if (held.length === 0) return lines;
  if (waiting.held > held.length) lines.push(`    and ${count(waiting.held - held.length)} more`);
  lines.push(
    ...wrapped("Check the backend first. If they really are dead:", 4),
    '    run-watchdog once --override-guard "<why they are dead>"',
  );
  return lines;
}

function cleanupText({ cleanups: { pending, overdueMs } }: FleetView): string {
  if (pending === 0) return "none pending";
  const late = overdueMs === null ? "none is due" : `the oldest was due ${ago(overdueMs)}`;
  return `${count(pending)} pending, ${late}`;
}

function workerLines({ workers }: FleetView): readonly string[] {
  if (workers.length === 0) return field("workers", "none was seen in the last day");
  const listed = workers.flatMap((worker) => {
    const { holder, version, fingerprint, leaseKind, upMs, seenAgoMs } = worker;
    const seen = isCurrent(worker, workers)
      ? `up ${duration(upMs)}, seen ${ago(seenAgoMs)}`
      : `not seen any more, last ${ago(seenAgoMs)}`;
    const built = `${version}, settings ${fingerprint}, ${leaseKind} lease, ${seen}`;
    return [...wrapped(holder, 4), ...wrapped(built, 6)];
  });
  return [...field("workers", counted(workers.length, "worker")), ...listed];
}

function ago(ms: number): string {
  return `${duration(ms)} ago`;
}

function seconds(ms: number | null): number | null {
  return ms === null ? null : Math.round(ms / 1000);
}
