/** Many sandboxes stop at once: the watchdogs suspect the runs, then hold their verdicts back, and a person decides. */
import { massOf, type Player } from "./cast.ts";
import type { Chronicle } from "./chronicle.ts";
import type { Watchdog } from "./fleet.ts";
import { healthOf } from "./health.ts";
import type { Ledger } from "./ledger.ts";
import { type Program, runProgram } from "./program.ts";
import { INDENT, type Screen, wrapped } from "./screen.ts";
import type { Stage } from "./stage.ts";

/** What the audit has to know of it. */
export interface MassStop {
  readonly players: readonly Player[];
  /** What the person gave as the reason. */
  readonly reason: string;
  /** By the database's clock, Unix milliseconds: nothing may end any of them earlier. */
  readonly overriddenAtMs: number;
}

export interface MassStopScene {
  readonly stage: Stage;
  readonly ledger: Ledger;
  readonly chronicle: Chronicle;
  readonly program: Program;
  readonly screen: Screen;
  readonly watchdogs: () => readonly Watchdog[];
  /** @throws when it takes too long. */
  readonly until: (what: string, check: () => Promise<boolean>) => Promise<void>;
}

const REASON = "the demo stopped them";

export async function tellMassStop(scene: MassStopScene, signal: AbortSignal): Promise<MassStop> {
  const { stage, ledger, chronicle, screen } = scene;
  const players = await stage.seat(massOf());
  screen.tell(
    `${players.length} more runs are past their deadline, and the API says of each that its sandbox is MISSING. Were all of them stopped, or is the API wrong? A watchdog cannot know: it looks twice, and then leaves so many to a person`,
  );
  const { until } = scene;
  const heldBy = () => {
    const { count = 0, by = null } = chronicle.mostHeld ?? {};
    return count >= players.length ? by : null;
  };
  await until(
    "the guard holds the mass",
    async () => heldBy() !== null || (await oneEnded(scene, players)),
  );
  const holder = heldBy();
  // If nobody held them, the audit will say so.
  if (holder !== null) await sayWhyHeld(scene, players.length, holder, signal);
  const overriddenAtMs = await ledger.now();
  await override(scene, signal);
  await until("no watchdog's health speaks of holding", async () => {
    const all = await Promise.all(scene.watchdogs().map((one) => whyHolding(one, signal)));
    return all.every((why) => why === null);
  });
  screen.tell("nothing is held any more, and /health has stopped saying so");
  return { players, reason: REASON, overriddenAtMs };
}

async function oneEnded({ ledger }: MassStopScene, players: readonly Player[]): Promise<boolean> {
  const statuses = await ledger.statuses();
  return players.some(({ run }) => statuses.get(run.id) !== "RUNNING");
}

async function sayWhyHeld(
  { screen, until }: MassStopScene,
  count: number,
  holder: Watchdog,
  signal: AbortSignal,
): Promise<void> {
  await until("the health of the watchdog that holds the mass says why", async () => {
    const why = await whyHolding(holder, signal);
    if (why === null) return false;
    screen.tell(`all ${count} are held and stay RUNNING. /health of ${holder.letter} says:`);
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
  { stage, program, screen }: MassStopScene,
  signal: AbortSignal,
): Promise<void> {
  const args = ["once", "--override-guard", REASON, "--output", "human", "--wait", "20s"];
  screen.tell(`a person decides: once --override-guard "${REASON}"`);
  const { stdout } = await runProgram(program, args, stage.env, signal);
  const [counts = ""] = stdout.split("\n\n");
  const lines = counts.split("\n").filter((line) => line !== "");
  screen.print(lines.map((line) => `${INDENT}| ${line}`));
}
