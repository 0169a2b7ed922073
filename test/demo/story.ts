/** The demo from the first line to the last: what happens in which order, and what is said about it. */
import { setTimeout as sleep } from "node:timers/promises";
import { audit } from "./audit.ts";
import type { Check } from "./check.ts";
import { Chronicle } from "./chronicle.ts";
import { Directions } from "./directions.ts";
import { tellEpilogue } from "./epilogue.ts";
import { Fleet, type Watchdog } from "./fleet.ts";
import { Ledger } from "./ledger.ts";
import { LiveTable } from "./live-table.ts";
import { LockWatch } from "./lock-watch.ts";
import { type MassStop, tellMassStop } from "./mass-stop.ts";
import { type Program, runProgram } from "./program.ts";
import type { Screen } from "./screen.ts";
import { Sightings } from "./sightings.ts";
import { openStage, type Stage, TIMING } from "./stage.ts";
import { checkLines, counted, deedLines, runTable, slowestLine } from "./summary.ts";

export interface StoryOptions {
  readonly runs: number;
  /** Leaves everything up at the end, until the signal aborts. */
  readonly keep: boolean;
  readonly program: Program;
  readonly screen: Screen;
}

/**
 * Everything it starts has ended when it comes back, and nothing is left.
 *
 * @returns the checks that failed.
 * @throws signal.reason when it aborts.
 */
export async function tellStory(
  options: StoryOptions,
  signal: AbortSignal,
): Promise<readonly Check[]> {
  const { runs, program, screen } = options;
  await using resources = new AsyncDisposableStack();
  const stage = resources.use(await openStage({ runs, program, tell: screen.tell }, signal));
  const story = new Story(stage, options, signal);
  resources.use(story);
  await story.raiseFleet();
  await story.killTheLeader();
  await story.untilSettled();
  const skipped = await story.askForOneOnTime();
  const mass = await story.stopMany();
  const checks = await story.conclude(skipped, mass);
  await tellEpilogue(stage, story.watchdogs, options, signal);
  return checks.filter(({ ok }) => !ok);
}

const LEAD_WITHIN_MS = 30_000;
const SETTLE_WITHIN_MS = 40_000;
const HELD_WITHIN_MS = 60_000;
const LOOK_EVERY_MS = 50;

class Story implements AsyncDisposable {
  readonly #stage: Stage;
  readonly #options: StoryOptions;
  readonly #signal: AbortSignal;
  readonly #ledger: Ledger;
  readonly #directions: Directions;
  readonly #sightings: Sightings;
  readonly #fleet: Fleet;
  readonly #locks: LockWatch;
  readonly #table: LiveTable;
  readonly #chronicle: Chronicle;

  constructor(stage: Stage, options: StoryOptions, signal: AbortSignal) {
    this.#stage = stage;
    this.#options = options;
    this.#signal = signal;
    this.#ledger = new Ledger(stage.sql);
    this.#directions = new Directions(stage);
    this.#sightings = new Sightings(stage.host);
    this.#locks = new LockWatch(stage.databaseUrl);
    this.#chronicle = new Chronicle({
      tell: options.screen.tell,
      onSweep: () => this.#directions.letGo(),
    });
    this.#fleet = new Fleet({
      program: options.program,
      env: { ...stage.env, LOG_FORMAT: "json", LOG_LEVEL: "debug" },
      place: stage.place,
      onLog: this.#chronicle.hear,
      onLost: this.#chronicle.lose,
    });
    this.#table = new LiveTable(options.screen, this.#ledger);
  }

  get watchdogs(): readonly Watchdog[] {
    return this.#fleet.watchdogs;
  }

  async raiseFleet(): Promise<void> {
    const [a, b] = await Promise.all([
      this.#fleet.start(this.#signal),
      this.#fleet.start(this.#signal),
    ]);
    this.#tell(
      `watchdogs A (pid ${a.pid}) and B (pid ${b.pid}) are up; both want to sweep every ${TIMING.everyS} s, the lease lets one`,
    );
  }

  /** In the middle of its sweep, with answers still to come. */
  async killTheLeader(): Promise<void> {
    const first = await this.#leader((lead) => lead.epoch > 0);
    this.#tell(`${first.watchdog.letter} has the lease (epoch ${first.epoch}) and sweeps`);
    await this.#until("the first leader waits for its last answers", LEAD_WITHIN_MS, async () => {
      if (!this.#directions.leaderIsStuck) return false;
      return (await this.#ledger.pendingChores()) === 0;
    });
    const { watchdog: victim, epoch } = await this.#leader((lead) => lead.epoch > 0);
    const { completed, failedProven, failedPresumed } = await this.#ledger.verdicts();
    const verdicts = completed + failedProven + failedPresumed;
    const killedAtMs = Date.now();
    await this.#fleet.kill(victim);
    this.#directions.raiseCurtain();
    this.#tell(
      `${victim.letter} is killed in the middle of its sweep (SIGKILL), after ${counted(verdicts, "verdict")}; its lease runs out within ${TIMING.leaseTtlS} s`,
    );
    const next = await this.#leader((lead) => lead.epoch > epoch);
    const tookS = ((next.startedAtMs - killedAtMs) / 1000).toFixed(1);
    this.#tell(`${next.watchdog.letter} took over ${tookS} s after that (epoch ${next.epoch})`);
    const { letter, pid } = await this.#fleet.start(this.#signal);
    this.#tell(`${letter} (pid ${pid}) comes in ${victim.letter}'s place`);
  }

  /** Until every dead run has a verdict, and everything that can happen to a run was seen. */
  async untilSettled(): Promise<void> {
    const late = this.#stage.players.filter(({ role }) => role === "late");
    let overturned = false;
    await this.#until(null, SETTLE_WITHIN_MS, async () => {
      const statuses = await this.#ledger.statuses();
      if (!overturned && late.every(({ run }) => statuses.get(run.id) === "FAILED")) {
        overturned = true;
        for (const player of late) await this.#directions.completeLate(player);
        this.#tell(
          `${counted(late.length, "late callback")}: presumed dead, FAILED becomes COMPLETED after all`,
        );
      }
      const open = this.#stage.players.filter(
        ({ ending, run }) => ending.kind !== "none" && statuses.get(run.id) === "RUNNING",
      );
      if (!overturned || open.length > 0 || !this.#chronicle.everythingWasSeen) return false;
      return (await this.#ledger.pendingChores()) === 0;
    });
  }

  /** @returns whether the run was skipped. */
  async askForOneOnTime(): Promise<boolean> {
    const onTime = this.#stage.players.find(({ role }) => role === "on time");
    if (onTime === undefined) return false;
    const { id } = onTime.run;
    const short = `${id.slice(0, 8)}…`;
    const args = ["once", "--run", id, "--output", "human", "--wait", "15s"];
    const { program, screen } = this.#options;
    const { exitCode, stdout } = await runProgram(program, args, this.#stage.env, this.#signal);
    this.#tell(
      `once --run ${short} --output human, for a run that is not past its deadline, says:`,
    );
    const lines = stdout.replaceAll(id, short).split("\n");
    screen.print(lines.filter((line) => line !== "").map((line) => `          | ${line}`));
    return exitCode === 0 && stdout.includes("skipped");
  }

  async stopMany(): Promise<MassStop> {
    const { program, screen } = this.#options;
    const scene = {
      stage: this.#stage,
      ledger: this.#ledger,
      chronicle: this.#chronicle,
      program,
      screen,
      watchdogs: () => this.watchdogs,
      until: (what: string, check: () => Promise<boolean>) =>
        this.#until(what, HELD_WITHIN_MS, check),
    };
    return await tellMassStop(scene, this.#signal);
  }

  async conclude(skipped: boolean, mass: MassStop): Promise<readonly Check[]> {
    const { sql, host, players } = this.#stage;
    const sightings = this.#sightings;
    this.#directions.check();
    const locks = await this.#locks.end();
    const { writes } = this.#directions;
    const checks = await audit({ sql, host, players, writes, locks, mass, sightings });
    const table = runTable(await this.#ledger.groups());
    const { counts, sweeps, errorCause } = this.#chronicle;
    const verdicts = await this.#ledger.verdicts();
    this.#chronicle.close();
    await this.#table.end();
    const { screen } = this.#options;
    screen.print(["", "What became of the runs, from the database:", "", ...table]);
    const deeds = deedLines({ verdicts, counts, skipped: skipped ? 1 : 0, errorCause });
    const title = `What the watchdogs did, in ${counted(sweeps, "sweep")} and the one that was cut short:`;
    screen.print(["", title, "", ...deeds]);
    screen.print(["", "Checked in the end:", "", ...checkLines(checks), ...slowestLine(writes)]);
    return checks;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#sightings[Symbol.dispose]();
    await this.#table.end().catch(() => undefined);
    const ended = await Promise.allSettled([
      this.#fleet[Symbol.asyncDispose](),
      this.#locks[Symbol.asyncDispose](),
      this.#directions[Symbol.asyncDispose](),
    ]);
    for (const end of ended) if (end.status === "rejected") throw end.reason;
  }

  #tell(text: string): void {
    this.#options.screen.tell(text);
  }

  /** Waits until the leadership row shows a leader of ours that fits. */
  async #leader(fits: (lead: Lead) => boolean): Promise<Lead> {
    let found: Lead | null = null;
    await this.#until("a watchdog has the lease", LEAD_WITHIN_MS, async () => {
      const row = await this.#ledger.leadership();
      const watchdog = this.watchdogs.find(({ holder }) => row?.holder.startsWith(`${holder}/`));
      if (row === null || watchdog === undefined) return false;
      const { epoch, startedAtMs } = row;
      found = fits({ watchdog, epoch, startedAtMs }) ? { watchdog, epoch, startedAtMs } : null;
      return found !== null;
    });
    if (found === null) throw new Error("there is no leader");
    return found;
  }

  /** @throws when it takes longer; without a name that is not an error. */
  async #until(
    what: string | null,
    withinMs: number,
    check: () => Promise<boolean>,
  ): Promise<void> {
    const deadline = performance.now() + withinMs;
    while (true) {
      this.#signal.throwIfAborted();
      this.#chronicle.check();
      this.#directions.check();
      if (await check()) return;
      if (performance.now() > deadline) {
        if (what === null) return;
        throw new Error(`waited ${withinMs / 1000} s in vain: ${what}`);
      }
      await sleep(LOOK_EVERY_MS, undefined, { signal: this.#signal });
    }
  }
}

interface Lead {
  readonly watchdog: Watchdog;
  readonly epoch: number;
  readonly startedAtMs: number;
}
