/** Which runs the demo has, what their sandboxes know, and how each of them has to end. */
import type { Sandbox } from "./fake-host-model.ts";
import type { AutomationSeed, RunSeed, SeededRun } from "./seed.ts";

export type Ending =
  /** The watchdog ends it. */
  | {
      readonly kind: "verdict";
      readonly status: "COMPLETED" | "FAILED";
      readonly basis: "proof" | "presumption";
    }
  /** A callback or a cancel ends it, or the watchdog with the exit code, whoever is first. */
  | { readonly kind: "host" }
  /** Nobody ends it. */
  | { readonly kind: "none" };

export type RoleName = (typeof ROLES)[number]["name"];

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

/** One of each role, and of those that vary the most telling one. */
export const FEWEST_RUNS = 20;
/** So many that it still ends within a minute. */
export const MOST_RUNS = 2000;

interface Role {
  readonly name: string;
  /** What it is called in tables; also the name of its automations. */
  readonly group: string;
  readonly share: number;
  readonly most?: number;
  /** Which part of the role the first leader does not get to. */
  readonly held: number;
  readonly ending: Ending;
  readonly automation?: AutomationSeed;
  readonly alone?: boolean;
  readonly seed?: RunSeed;
  readonly sandbox: (commandId: string, index: number) => Partial<Sandbox> | null;
}

const MINUTE_MS = 60_000;
const COMPLETED: Ending = { kind: "verdict", status: "COMPLETED", basis: "proof" };
const FAILED: Ending = { kind: "verdict", status: "FAILED", basis: "proof" };
const PRESUMED: Ending = { kind: "verdict", status: "FAILED", basis: "presumption" };
const BY_HOST: Ending = { kind: "host" };
const NONE: Ending = { kind: "none" };

const MEANWHILE = "callback or cancel meanwhile";

const ROLES = [
  {
    name: "finished",
    group: "finished, exit code 0",
    share: 0.2,
    held: 1 / 3,
    ending: COMPLETED,
    sandbox: (commandId) => exited(commandId, 0),
  },
  {
    name: "template",
    group: "finished, exit code 0",
    share: 0.04,
    held: 0,
    ending: COMPLETED,
    automation: { presetMetadata: { template: { id: "weekly-report", version: "3" } } },
    alone: true,
    sandbox: (commandId) => exited(commandId, 0),
  },
  {
    name: "kept",
    group: "finished, exit code 0",
    share: 0.03,
    held: 0,
    ending: COMPLETED,
    automation: { keepAlive: true },
    sandbox: (commandId) => exited(commandId, 0),
  },
  {
    name: "failed",
    group: "failed, exit code 1 or 137",
    share: 0.15,
    held: 1 / 3,
    ending: FAILED,
    sandbox: (commandId, index) =>
      index % 2 === 0
        ? exited(commandId, 137, "Killed\n")
        : exited(commandId, 1, "Traceback (most recent call last):\nKeyError: 'GITHUB_TOKEN'\n"),
  },
  {
    name: "killed",
    group: "killed, exit code -1",
    share: 0.06,
    held: 0,
    ending: FAILED,
    sandbox: (commandId) => exited(commandId, -1),
  },
  {
    name: "vanished",
    group: "sandbox missing, gone or paused",
    share: 0.09,
    held: 0,
    ending: PRESUMED,
    sandbox: (_, index) => [{ status: "MISSING" } as const, null, PAUSED][index % 3] ?? null,
  },
  {
    name: "overdue",
    group: "past the hard deadline",
    share: 0.03,
    held: 0,
    ending: PRESUMED,
    seed: { startedAgoMs: 120 * MINUTE_MS },
    sandbox: () => ({}),
  },
  {
    name: "limited",
    group: "429 at first, then exit code 0",
    share: 0.05,
    held: 1,
    ending: COMPLETED,
    sandbox: (commandId) => ({
      ...exited(commandId, 0),
      rateLimit: { first: 1, retryAfterS: 1, kinds: ["events"] },
    }),
  },
  {
    name: "callback",
    group: MEANWHILE,
    share: 0.04,
    held: 1,
    ending: BY_HOST,
    sandbox: (commandId) => exited(commandId, 0),
  },
  {
    name: "cancel",
    group: MEANWHILE,
    share: 0.02,
    held: 1,
    ending: BY_HOST,
    sandbox: (commandId) => exited(commandId, 1),
  },
  {
    name: "busy",
    group: MEANWHILE,
    share: 0.02,
    // Each holds a connection of the demo's while it holds its row.
    most: 4,
    held: 1,
    ending: BY_HOST,
    sandbox: (commandId) => exited(commandId, 0),
  },
  {
    name: "neck and neck",
    group: MEANWHILE,
    share: 0.05,
    held: 1,
    ending: BY_HOST,
    sandbox: (commandId) => exited(commandId, 0),
  },
  {
    name: "late",
    group: MEANWHILE,
    share: 0.02,
    held: 0,
    ending: BY_HOST,
    sandbox: () => PAUSED,
  },
  {
    name: "running",
    group: "running or starting",
    share: 0.08,
    held: 0,
    ending: NONE,
    sandbox: () => ({}),
  },
  {
    name: "starting",
    group: "running or starting",
    share: 0.04,
    held: 0,
    ending: NONE,
    sandbox: () => ({ status: "STARTING" }),
  },
  {
    name: "bad gateway",
    group: "agent server answers 502",
    share: 0.04,
    held: 0,
    ending: NONE,
    sandbox: () => ({}),
  },
  {
    name: "no command",
    group: "no bash_command_id",
    share: 0.02,
    held: 0,
    ending: NONE,
    seed: { bashCommandId: null },
    sandbox: () => ({}),
  },
  {
    name: "protected",
    group: "protected by a trigger",
    share: 0,
    held: 1,
    ending: NONE,
    sandbox: (commandId) => exited(commandId, 0),
  },
  {
    name: "on time",
    group: "not past its deadline",
    share: 0.05,
    held: 0,
    ending: NONE,
    sandbox: () => ({}),
  },
] as const satisfies readonly Role[];

/** The rows of the tables, in their order. */
export const GROUPS: readonly string[] = [...new Set(ROLES.map(({ group }) => group))];

/** At least one member for every role; what the shares leave over goes to the first one. */
export function castOf(runs: number): readonly Member[] {
  const roles: readonly Role[] = ROLES;
  const counts = roles.map(({ share, most = runs }) =>
    Math.min(most, Math.max(1, Math.floor(share * runs))),
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

const PAUSED = { status: "PAUSED" } as const;

function exited(commandId: string, exitCode: number, stderr = ""): Partial<Sandbox> {
  return { outputs: [{ commandId, exitCode, stderr, stdout: "" }] };
}
