/** The kinds of runs in the demo: what their sandboxes know, and how they have to end. */
import type { Sandbox } from "../../fake-host/model.ts";
import type { AutomationSeed, RunSeed } from "../../fake-host/seed.ts";

export type ExpectedEnd =
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

export interface RunKind {
  readonly name: string;
  /** What it is called in tables; also the name of its automations. */
  readonly group: string;
  /** Of the runs that are left when each kind has one; the shares add up to 1. */
  readonly share: number;
  readonly most?: number;
  /** For which share of them the first leader waits for an answer in vain. */
  readonly unanswered: number;
  readonly expectedEnd: ExpectedEnd;
  readonly automation?: AutomationSeed;
  /** Each has an automation of its own. */
  readonly ownAutomation?: boolean;
  readonly seed?: RunSeed;
  readonly sandbox: (commandId: string, index: number) => Partial<Sandbox> | null;
}

export const MINUTE_MS = 60_000;
const COMPLETED: ExpectedEnd = { kind: "verdict", status: "COMPLETED", basis: "proof" };
const FAILED: ExpectedEnd = { kind: "verdict", status: "FAILED", basis: "proof" };
const PRESUMED: ExpectedEnd = { kind: "verdict", status: "FAILED", basis: "presumption" };
const BY_HOST: ExpectedEnd = { kind: "host" };
const NONE: ExpectedEnd = { kind: "none" };

const CALLBACK_OR_CANCEL = "callback or cancel meanwhile";

/** The presumed dead are few beside those that may live, whatever the number of runs: the guard lets them pass. */
export const RUN_KINDS = [
  {
    name: "finished",
    group: "finished, exit code 0",
    share: 0.27,
    unanswered: 1 / 3,
    expectedEnd: COMPLETED,
    sandbox: (commandId) => exited(commandId, 0),
  },
  {
    name: "template",
    group: "finished, exit code 0",
    share: 0.04,
    unanswered: 0,
    expectedEnd: COMPLETED,
    automation: { presetMetadata: { template: { id: "weekly-report", version: "3" } } },
    ownAutomation: true,
    sandbox: (commandId) => exited(commandId, 0),
  },
  {
    name: "keep alive",
    group: "finished, exit code 0",
    share: 0.03,
    unanswered: 0,
    expectedEnd: COMPLETED,
    automation: { keepAlive: true },
    sandbox: (commandId) => exited(commandId, 0),
  },
  {
    name: "failed",
    group: "failed, exit code 1 or 137",
    share: 0.15,
    unanswered: 1 / 3,
    expectedEnd: FAILED,
    sandbox: (commandId, index) =>
      index % 2 === 0
        ? exited(commandId, 137, "Killed\n")
        : exited(commandId, 1, "Traceback (most recent call last):\nKeyError: 'GITHUB_TOKEN'\n"),
  },
  {
    name: "killed",
    group: "killed, exit code -1",
    share: 0.06,
    unanswered: 0,
    expectedEnd: FAILED,
    sandbox: (commandId) => exited(commandId, -1),
  },
  {
    name: "missing or paused",
    group: "sandbox missing, gone or paused",
    share: 0.02,
    most: 18,
    unanswered: 0,
    expectedEnd: PRESUMED,
    sandbox: (_, index) => [{ status: "MISSING" } as const, null, PAUSED][index % 3] ?? null,
  },
  {
    name: "overdue",
    group: "past the hard deadline",
    share: 0.005,
    most: 6,
    unanswered: 0,
    expectedEnd: PRESUMED,
    seed: { startedAgoMs: 120 * MINUTE_MS },
    sandbox: () => ({}),
  },
  {
    name: "rate limited",
    group: "429 at first, then exit code 0",
    share: 0.05,
    unanswered: 1,
    expectedEnd: COMPLETED,
    sandbox: (commandId) => ({
      ...exited(commandId, 0),
      rateLimit: { first: 1, retryAfterS: 1, kinds: ["events"] },
    }),
  },
  {
    name: "callback",
    group: CALLBACK_OR_CANCEL,
    share: 0.04,
    unanswered: 1,
    expectedEnd: BY_HOST,
    sandbox: (commandId) => exited(commandId, 0),
  },
  {
    name: "cancel",
    group: CALLBACK_OR_CANCEL,
    share: 0.02,
    unanswered: 1,
    expectedEnd: BY_HOST,
    sandbox: (commandId) => exited(commandId, 1),
  },
  {
    name: "slow callback",
    group: CALLBACK_OR_CANCEL,
    share: 0.02,
    // Each holds a connection of the demo's while it holds its row.
    most: 4,
    unanswered: 1,
    expectedEnd: BY_HOST,
    sandbox: (commandId) => exited(commandId, 0),
  },
  {
    name: "simultaneous callback",
    group: CALLBACK_OR_CANCEL,
    share: 0.05,
    unanswered: 1,
    expectedEnd: BY_HOST,
    sandbox: (commandId) => exited(commandId, 0),
  },
  {
    name: "late callback",
    group: CALLBACK_OR_CANCEL,
    share: 0.005,
    most: 6,
    unanswered: 0,
    expectedEnd: BY_HOST,
    sandbox: () => PAUSED,
  },
  {
    name: "running",
    group: "running or starting",
    share: 0.09,
    most: 60,
    unanswered: 0,
    expectedEnd: NONE,
    sandbox: () => ({}),
  },
  {
    name: "starting",
    group: "running or starting",
    share: 0.04,
    most: 30,
    unanswered: 0,
    expectedEnd: NONE,
    sandbox: () => ({ status: "STARTING" }),
  },
  {
    name: "bad gateway",
    group: "agent server answers 502",
    share: 0.04,
    unanswered: 0,
    expectedEnd: NONE,
    sandbox: () => ({}),
  },
  {
    name: "no command",
    group: "no bash_command_id",
    share: 0.02,
    most: 20,
    unanswered: 0,
    expectedEnd: NONE,
    seed: { bashCommandId: null },
    sandbox: () => ({}),
  },
  {
    name: "protected",
    group: "protected by a trigger",
    share: 0,
    unanswered: 1,
    expectedEnd: NONE,
    sandbox: (commandId) => exited(commandId, 0),
  },
  {
    name: "not due",
    group: "not past its deadline",
    share: 0.05,
    unanswered: 0,
    expectedEnd: NONE,
    sandbox: () => ({}),
  },
] as const satisfies readonly RunKind[];

/** Those whose sandboxes stop all at once; they come when all the others have their verdict. */
export const MASS_STOP = {
  name: "stopped",
  group: "stopped all at once",
  expectedEnd: PRESUMED,
  sandbox: () => ({ status: "MISSING" }),
} as const satisfies Partial<RunKind>;

export type KindName = (typeof RUN_KINDS)[number]["name"] | typeof MASS_STOP.name;

/** The rows of the tables, in their order. */
export const GROUPS: readonly string[] = [
  ...new Set([...RUN_KINDS, MASS_STOP].map(({ group }) => group)),
];

const PAUSED = { status: "PAUSED" } as const;

function exited(commandId: string, exitCode: number, stderr = ""): Partial<Sandbox> {
  return { outputs: [{ commandId, exitCode, stderr, stdout: "" }] };
}
