/** Many sandboxes stop at once: the watchdogs suspect the runs, then hold their verdicts back, and a person decides. */
import type { MassStop } from "./checks/checks.ts";
import type { DemoDatabase } from "./scenario/database.ts";
import type { DemoEnvironment } from "./scenario/environment.ts";
import { type DemoRun, planMassStop } from "./scenario/runs.ts";
import { INDENT, type Screen, wrapped } from "./screen/screen.ts";
import type { Timeline } from "./timeline.ts";
import { type Program, runProgram } from "./watchdogs/program.ts";
import { healthOf, type Watchdog } from "./watchdogs/watchdogs.ts";

export interface MassStopDeps {
  readonly environment: DemoEnvironment;
  readonly database: DemoDatabase;
  readonly timeline: Timeline;
  readonly program: Program;
  readonly screen: Screen;
  readonly watchdogs: () => readonly Watchdog[];
  /** @throws when it takes too long. */
  readonly until: (what: string, check: () => Promise<boolean>) => Promise<void>;
}

const REASON = "the demo stopped them";

export async function stopMany(deps: MassStopDeps, signal: AbortSignal): Promise<MassStop> {
  const { environment, database, timeline, screen, until } = deps;
  const runs = await environment.addRuns(planMassStop());
  screen.announce(
    `${runs.length} more runs are past their deadline, and the API says of each that its sandbox is MISSING. Were all of them stopped, or is the API wrong? A watchdog cannot know: it looks twice, and then leaves so many to a person`,
  );
  const heldBy = () => {
    const { count = 0, by = null } = timeline.mostHeld ?? {};
    return count >= runs.length ? by : null;
  };
  await until(
    "the guard holds the verdicts on all of them",
    async () => heldBy() !== null || (await oneEnded(database, runs)),
  );
  const holder = heldBy();
  // If nobody held them, the checks will say so.
  if (holder !== null) await sayWhyHeld(deps, runs.length, holder, signal);
  const overriddenAtMs = await database.now();
  await override(deps, signal);
  await until("no watchdog's health speaks of holding", async () => {
    const all = await Promise.all(deps.watchdogs().map((one) => whyHolding(one, signal)));
    return all.every((why) => why === null);
  });
  screen.announce("nothing is held any more, and /health has stopped saying so");
  return { runs, reason: REASON, overriddenAtMs };
}

async function oneEnded(database: DemoDatabase, runs: readonly DemoRun[]): Promise<boolean> {
  const statuses = await database.statuses();
  return runs.some(({ id }) => statuses.get(id) !== "RUNNING");
}

async function sayWhyHeld(
  { screen, until }: MassStopDeps,
  count: number,
  holder: Watchdog,
  signal: AbortSignal,
): Promise<void> {
  await until("the health of the watchdog that holds them says why", async () => {
    const why = await whyHolding(holder, signal);
    if (why === null) return false;
    screen.announce(`all ${count} are held and stay RUNNING. /health of ${holder.letter} says:`);
    screen.print(wrapped(`| ${why}`, INDENT));
    return true;
  });
}

/** `degraded, holding: ...` */
async function whyHolding(watchdog: Watchdog, signal: AbortSignal): Promise<string | null> {
  const { status, reasons } = await healthOf(watchdog, signal);
  const why = reasons.find((reason) => reason.startsWith("holding: "));
  return why === undefined ? null : `${status}, ${why}`;
}

async function override(
  { environment, program, screen }: MassStopDeps,
  signal: AbortSignal,
): Promise<void> {
  const args = ["once", "--override-guard", REASON, "--output", "human", "--wait", "20s"];
  screen.announce(`a person decides: once --override-guard "${REASON}"`);
  const { stdout } = await runProgram(program, args, environment.env, signal);
  const [counts = ""] = stdout.split("\n\n");
  const lines = counts.split("\n").filter((line) => line !== "");
  screen.print(lines.map((line) => `${INDENT}| ${line}`));
}
