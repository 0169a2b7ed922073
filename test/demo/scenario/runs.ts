/** Which runs the demo has, and in which order they are due. */
import type { Sandbox } from "../../fake-host/model.ts";
import type { AutomationSeed, RunSeed, SeededRun } from "../../fake-host/seed.ts";
import {
  type ExpectedEnd,
  type KindName,
  MASS_STOP,
  MINUTE_MS,
  RUN_KINDS,
  type RunKind,
} from "./run-kinds.ts";

export interface PlannedRun {
  readonly kind: KindName;
  readonly expectedEnd: ExpectedEnd;
  /** The first leader is killed before it has an answer about this run. */
  readonly unanswered: boolean;
  readonly automation: AutomationSeed;
  /** Whether all runs of the kind share one automation. */
  readonly shared: boolean;
  readonly seed: RunSeed;
  readonly sandbox: (commandId: string) => Partial<Sandbox> | null;
}

/** A planned run that has its row and its sandbox. */
export type DemoRun = PlannedRun & SeededRun;

/** Enough for one of each kind. */
export const FEWEST_RUNS = 20;
/** So many that it still ends within a minute. */
export const MOST_RUNS = 2000;

/** At least one run of every kind; what is left over goes to the first kind. */
export function planRuns(count: number): readonly PlannedRun[] {
  const kinds: readonly RunKind[] = RUN_KINDS;
  const counts = kinds.map(({ share, most = count }) =>
    Math.min(most, 1 + Math.floor(share * (count - kinds.length))),
  );
  const left = count - counts.reduce((sum, each) => sum + each, 0);
  const placed = RUN_KINDS.flatMap((kind, at) =>
    runsOf(kind, kind.name, (counts[at] ?? 0) + (at === 0 ? left : 0)),
  );
  placed.sort((a, b) => a.position - b.position);
  const answered = placed.filter(({ run }) => !run.unanswered);
  const unanswered = placed.filter(({ run }) => run.unanswered);
  const ordered = [...answered.slice(0, FIRST), ...unanswered, ...answered.slice(FIRST)];
  return ordered.map(({ run }, at) => withDeadline(run, 1 - at / count));
}

/** More than a quarter of all that the watchdogs then get an answer about. */
const STOPPED_AT_ONCE = 50;

/** All with the same deadline, so that a sweep meets all of them or none. */
export function planMassStop(): readonly PlannedRun[] {
  const { name: kind, group, expectedEnd, sandbox } = MASS_STOP;
  return Array.from({ length: STOPPED_AT_ONCE }, () => ({
    kind,
    expectedEnd,
    unanswered: false,
    automation: { name: group },
    shared: true,
    seed: { startedAgoMs: 13 * MINUTE_MS, overdueMs: MINUTE_MS },
    sandbox,
  }));
}

/** So many runs have an earlier deadline than those without an answer: the first leader gets through them in a second. */
const FIRST = 40;

interface Placed {
  readonly run: PlannedRun;
  /** From 0 to 1: spreads a kind evenly. */
  readonly position: number;
}

function runsOf(kind: RunKind, name: KindName, count: number): readonly Placed[] {
  return Array.from({ length: count }, (_, index) => ({
    position: (index + 0.5) / count,
    run: {
      kind: name,
      expectedEnd: kind.expectedEnd,
      unanswered: index >= Math.ceil(count * (1 - kind.unanswered)),
      automation: { ...kind.automation, name: kind.group },
      shared: kind.ownAutomation !== true,
      seed: kind.seed ?? {},
      sandbox: (commandId) => kind.sandbox(commandId, index),
    },
  }));
}

/** @param age from 0 to 1: how far back the deadline lies, compared with the others. */
function withDeadline(run: PlannedRun, age: number): PlannedRun {
  if (run.kind === "not due") {
    return { ...run, seed: { startedAgoMs: MINUTE_MS, overdueMs: -11 * MINUTE_MS } };
  }
  const overdueMs = MINUTE_MS + age * 2 * MINUTE_MS;
  return {
    ...run,
    seed: { startedAgoMs: 12 * MINUTE_MS + overdueMs, ...run.seed, overdueMs },
  };
}
