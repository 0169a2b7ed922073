/** The kinds of runs in the demo: what their sandboxes know, and how they have to end. */
import type { Sandbox } from "../fake-host/fake-host-model.ts";
import type { AutomationSeed, RunSeed } from "../fake-host/seed.ts";

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

export interface Role {
  readonly name: string;
  /** What it is called in tables; also the name of its automations. */
  readonly group: string;
  /** Of the runs that are left when each role has one; the shares add up to 1. */
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

export const MINUTE_MS = 60_000;
const COMPLETED: Ending = { kind: "verdict", status: "COMPLETED", basis: "proof" };
const FAILED: Ending = { kind: "verdict", status: "FAILED", basis: "proof" };
const PRESUMED: Ending = { kind: "verdict", status: "FAILED", basis: "presumption" };
const BY_HOST: Ending = { kind: "host" };
const NONE: Ending = { kind: "none" };

const MEANWHILE = "callback or cancel meanwhile";

/** The presumed dead are few beside those that may live, whatever the number of runs: the guard lets them pass. */
export const ROLES = [
  {
    name: "finished",
    group: "finished, exit code 0",
    share: 0.27,
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
    share: 0.02,
    most: 18,
    held: 0,
    ending: PRESUMED,
    sandbox: (_, index) => [{ status: "MISSING" } as const, null, PAUSED][index % 3] ?? null,
  },
  {
    name: "overdue",
    group: "past the hard deadline",
    share: 0.005,
    most: 6,
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
    share: 0.005,
    most: 6,
    held: 0,
    ending: BY_HOST,
    sandbox: () => PAUSED,
  },
  {
    name: "running",
    group: "running or starting",
    share: 0.09,
    most: 60,
    held: 0,
    ending: NONE,
    sandbox: () => ({}),
  },
  {
    name: "starting",
    group: "running or starting",
    share: 0.04,
    most: 30,
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
    most: 20,
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

/** Those whose sandboxes stop all at once; they come when all the others are settled. */
export const STOPPED = {
  name: "stopped",
  group: "stopped all at once",
  ending: PRESUMED,
  sandbox: () => ({ status: "MISSING" }),
} as const satisfies Partial<Role>;

export type RoleName = (typeof ROLES)[number]["name"] | typeof STOPPED.name;

/** The rows of the tables, in their order. */
export const GROUPS: readonly string[] = [
  ...new Set([...ROLES, STOPPED].map(({ group }) => group)),
];

const PAUSED = { status: "PAUSED" } as const;

function exited(commandId: string, exitCode: number, stderr = ""): Partial<Sandbox> {
  return { outputs: [{ commandId, exitCode, stderr, stdout: "" }] };
}
