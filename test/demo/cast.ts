/** Which runs the demo has, and in which order they are due. */
import type { Sandbox } from "../fake-host/fake-host-model.ts";
import type { AutomationSeed, RunSeed, SeededRun } from "../fake-host/seed.ts";
import { type Ending, MINUTE_MS, ROLES, type Role, type RoleName, STOPPED } from "./roles.ts";

export interface Member {
  readonly role: RoleName;
  readonly ending: Ending;
  /** The first leader is stopped before it has an answer about this run. */
  readonly held: boolean;
  readonly automation: AutomationSeed;
  /** Whether all members of the role share one automation. */
  readonly shared: boolean;
  readonly seed: RunSeed;
  readonly sandbox: (commandId: string) => Partial<Sandbox> | null;
}

/** A member with its row and its sandbox. */
export interface Player extends Member {
  readonly run: SeededRun;
}

/** Enough for one of each role. */
export const FEWEST_RUNS = 20;
/** So many that it still ends within a minute. */
export const MOST_RUNS = 2000;

/** At least one member for every role; what is left over goes to the first one. */
export function castOf(runs: number): readonly Member[] {
  const roles: readonly Role[] = ROLES;
  const counts = roles.map(({ share, most = runs }) =>
    Math.min(most, 1 + Math.floor(share * (runs - roles.length))),
  );
  const left = runs - counts.reduce((sum, count) => sum + count, 0);
  const placed = ROLES.flatMap((role, at) =>
    membersOf(role, role.name, (counts[at] ?? 0) + (at === 0 ? left : 0)),
  );
  placed.sort((a, b) => a.position - b.position);
  const free = placed.filter(({ member }) => !member.held);
  const held = placed.filter(({ member }) => member.held);
  const ordered = [...free.slice(0, OPENING), ...held, ...free.slice(OPENING)];
  return ordered.map(({ member }, at) => withDeadline(member, 1 - at / runs));
}

/** More than a quarter of all that the watchdogs then get an answer about. */
const STOPPED_AT_ONCE = 50;

/** All with the same deadline, so that a sweep meets all of them or none. */
export function massOf(): readonly Member[] {
  const { name: role, group, ending, sandbox } = STOPPED;
  return Array.from({ length: STOPPED_AT_ONCE }, () => ({
    role,
    ending,
    held: false,
    automation: { name: group },
    shared: true,
    seed: { startedAgoMs: 13 * MINUTE_MS, overdueMs: MINUTE_MS },
    sandbox,
  }));
}

/** So many runs have an earlier deadline than those that are held back: the first leader gets through them in a second. */
const OPENING = 40;

interface Placed {
  readonly member: Member;
  /** From 0 to 1: spreads a role evenly. */
  readonly position: number;
}

function membersOf(role: Role, name: RoleName, count: number): readonly Placed[] {
  return Array.from({ length: count }, (_, index) => ({
    position: (index + 0.5) / count,
    member: {
      role: name,
      ending: role.ending,
      held: index >= Math.ceil(count * (1 - role.held)),
      automation: { ...role.automation, name: role.group },
      shared: role.alone !== true,
      seed: role.seed ?? {},
      sandbox: (commandId) => role.sandbox(commandId, index),
    },
  }));
}

/** @param age from 0 to 1: how far back the deadline lies, compared with the others. */
function withDeadline(member: Member, age: number): Member {
  if (member.role === "on time") {
    return { ...member, seed: { startedAgoMs: MINUTE_MS, overdueMs: -11 * MINUTE_MS } };
  }
  const overdueMs = MINUTE_MS + age * 2 * MINUTE_MS;
  return {
    ...member,
    seed: { startedAgoMs: 12 * MINUTE_MS + overdueMs, ...member.seed, overdueMs },
  };
}
