/** The demo from the first line to the last: what happens in which order, and what is printed about it. */
import { setTimeout as sleep } from "node:timers/promises";
import { LockWatch } from "../services/postgres/lock-watch.ts";
import { type Check, checkAll, type MassStop } from "./checks/checks.ts";
import { LookupTimes } from "./checks/lookup-times.ts";
import { printClosing } from "./closing.ts";
import { stopMany } from "./mass-stop.ts";
import { DemoDatabase } from "./scenario/database.ts";
import { type DemoEnvironment, openEnvironment, TIMING } from "./scenario/environment.ts";
import { HostScript } from "./scenario/host-script.ts";
import { LiveTable } from "./screen/live-table.ts";
import type { Screen } from "./screen/screen.ts";
import { actionLines, checkLines, counted, runTable, slowestLine } from "./screen/tables.ts";
import { Timeline } from "./timeline.ts";
import { type Program, runProgram } from "./watchdogs/program.ts";
import { type Watchdog, Watchdogs } from "./watchdogs/watchdogs.ts";

export interface DemoOptions {
  /** How many runs there are to begin with. */
  readonly count: number;
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
export async function runDemo(
  options: DemoOptions,
  signal: AbortSignal,
): Promise<readonly Check[]> {
  const { count, program, screen } = options;
  await using resources = new AsyncDisposableStack();
  const { announce } = screen;
  const environment = resources.use(await openEnvironment({ count, program, announce }, signal));
  const demo = resources.use(new Demo(environment, options, signal));
  await demo.startWatchdogs();
  await demo.killLeader();
  await demo.waitForVerdicts();
  const skipped = await demo.askForOneNotDue();
  const massStop = await demo.stopMany();
  const checks = await demo.finish(skipped, massStop);
  await printClosing(environment, demo.watchdogs, options, signal);
  return checks.filter(({ ok }) => !ok);
}

const LEAD_WITHIN_MS = 30_000;
const VERDICTS_WITHIN_MS = 40_000;
const HELD_WITHIN_MS = 60_000;
const LOOK_EVERY_MS = 50;

class Demo implements AsyncDisposable {
  readonly #environment: DemoEnvironment;
  readonly #options: DemoOptions;
  readonly #signal: AbortSignal;
  readonly #database: DemoDatabase;
  readonly #hostScript: HostScript;
  readonly #lookupTimes: LookupTimes;
  readonly #watchdogs: Watchdogs;
  readonly #locks: LockWatch;
  readonly #table: LiveTable;
  readonly #timeline: Timeline;

  constructor(environment: DemoEnvironment, options: DemoOptions, signal: AbortSignal) {
    this.#environment = environment;
    this.#options = options;
    this.#signal = signal;
    this.#database = new DemoDatabase(environment.sql);
    this.#hostScript = new HostScript(environment);
    this.#lookupTimes = new LookupTimes(environment.host);
    this.#locks = new LockWatch(environment.databaseUrl);
    this.#timeline = new Timeline({
      announce: options.screen.announce,
      onSweep: () => this.#hostScript.commit(),
    });
    this.#watchdogs = new Watchdogs({
      program: options.program,
      env: { ...environment.env, LOG_FORMAT: "json", LOG_LEVEL: "debug" },
      temporary: environment.temporary,
      onLog: this.#timeline.onLog,
      onExit: this.#timeline.onExit,
    });
    this.#table = new LiveTable(options.screen, this.#database);
  }

  get watchdogs(): readonly Watchdog[] {
    return this.#watchdogs.up;
  }

  async startWatchdogs(): Promise<void> {
    const [a, b] = await Promise.all([
      this.#watchdogs.start(this.#signal),
      this.#watchdogs.start(this.#signal),
    ]);
    this.#announce(
      `watchdogs A (pid ${a.pid}) and B (pid ${b.pid}) are up; both want to sweep every ${TIMING.everyS} s, the lease lets only one`,
    );
  }

  /** In the middle of its sweep, with answers still to come. */
  async killLeader(): Promise<void> {
    const first = await this.#leader((lead) => lead.epoch > 0);
    this.#announce(`${first.watchdog.letter} has the lease (epoch ${first.epoch}) and sweeps`);
    await this.#until("the first leader waits for its last answers", LEAD_WITHIN_MS, async () => {
      if (!this.#hostScript.leaderWaits) return false;
      return (await this.#database.pendingAfterVerdicts()) === 0;
    });
    const { watchdog: victim, epoch } = await this.#leader((lead) => lead.epoch > 0);
    const { completed, failedProven, failedPresumed } = await this.#database.verdicts();
    const verdicts = completed + failedProven + failedPresumed;
    const killedAtMs = Date.now();
    await this.#watchdogs.kill(victim);
    this.#hostScript.releaseAnswers();
    this.#announce(
      `${victim.letter} is killed in the middle of its sweep (SIGKILL), after ${counted(verdicts, "verdict")}; its lease runs out within ${TIMING.leaseTtlS} s`,
    );
    const next = await this.#leader((lead) => lead.epoch > epoch);
    const tookS = ((next.startedAtMs - killedAtMs) / 1000).toFixed(1);
    this.#announce(`${next.watchdog.letter} took over ${tookS} s after that (epoch ${next.epoch})`);
    const { letter, pid } = await this.#watchdogs.start(this.#signal);
    this.#announce(`${letter} (pid ${pid}) is started in ${victim.letter}'s place`);
  }

  /** Until every dead run has a verdict, and everything that can happen to a run was seen. */
  async waitForVerdicts(): Promise<void> {
    const late = this.#environment.runs.filter(({ kind }) => kind === "late callback");
    let overturned = false;
    await this.#until(null, VERDICTS_WITHIN_MS, async () => {
      const statuses = await this.#database.statuses();
      if (!overturned && late.every(({ id }) => statuses.get(id) === "FAILED")) {
        overturned = true;
        for (const run of late) await this.#hostScript.completeLate(run);
        this.#announce(
          `${counted(late.length, "late callback")}: presumed dead, FAILED becomes COMPLETED after all`,
        );
      }
      const open = this.#environment.runs.filter(
        ({ expectedEnd, id }) => expectedEnd.kind !== "none" && statuses.get(id) === "RUNNING",
      );
      if (!overturned || open.length > 0 || !this.#timeline.everyActionWasSeen) return false;
      return (await this.#database.pendingAfterVerdicts()) === 0;
    });
  }

  /** @returns whether the run was skipped. */
  async askForOneNotDue(): Promise<boolean> {
    const notDue = this.#environment.runs.find(({ kind }) => kind === "not due");
    if (notDue === undefined) return false;
    const { id } = notDue;
    const short = `${id.slice(0, 8)}…`;
    const args = ["once", "--run", id, "--output", "human", "--wait", "15s"];
    const { program, screen } = this.#options;
    const { env } = this.#environment;
    const { exitCode, stdout } = await runProgram(program, args, env, this.#signal);
    this.#announce(
      `once --run ${short} --output human, for a run that is not past its deadline, says:`,
    );
    const lines = stdout.replaceAll(id, short).split("\n");
    screen.print(lines.filter((line) => line !== "").map((line) => `          | ${line}`));
    return exitCode === 0 && stdout.includes("skipped");
  }

  async stopMany(): Promise<MassStop> {
    const { program, screen } = this.#options;
    const deps = {
      environment: this.#environment,
      database: this.#database,
      timeline: this.#timeline,
      program,
      screen,
      watchdogs: () => this.watchdogs,
      until: (what: string, check: () => Promise<boolean>) =>
        this.#until(what, HELD_WITHIN_MS, check),
    };
    return await stopMany(deps, this.#signal);
  }

  /** Checks everything, and prints what became of the runs. */
  async finish(skipped: boolean, massStop: MassStop): Promise<readonly Check[]> {
    const { sql, host, runs } = this.#environment;
    const lookupTimes = this.#lookupTimes;
    this.#hostScript.check();
    const locks = await this.#locks.end();
    const { writes } = this.#hostScript;
    const checks = await checkAll({ sql, host, runs, writes, locks, massStop, lookupTimes });
    const table = runTable(await this.#database.groups());
    const { counts, sweeps, errorCause } = this.#timeline;
    const verdicts = await this.#database.verdicts();
    this.#timeline.close();
    await this.#table.end();
    const { screen } = this.#options;
    screen.print(["", "What became of the runs, from the database:", "", ...table]);
    const actions = actionLines({ verdicts, counts, skipped: skipped ? 1 : 0, errorCause });
    const title = `What the watchdogs did, in ${counted(sweeps, "sweep")} and the one that was cut short:`;
    screen.print(["", title, "", ...actions]);
    screen.print(["", "Checked in the end:", "", ...checkLines(checks), ...slowestLine(writes)]);
    return checks;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#lookupTimes[Symbol.dispose]();
    await this.#table.end().catch(() => undefined);
    const ended = await Promise.allSettled([
      this.#watchdogs[Symbol.asyncDispose](),
      this.#locks[Symbol.asyncDispose](),
      this.#hostScript[Symbol.asyncDispose](),
    ]);
    for (const end of ended) if (end.status === "rejected") throw end.reason;
  }

  #announce(text: string): void {
    this.#options.screen.announce(text);
  }

  /** Waits until the leadership row shows a leader of ours that fits. */
  async #leader(fits: (lead: Lead) => boolean): Promise<Lead> {
    let found: Lead | null = null;
    await this.#until("a watchdog has the lease", LEAD_WITHIN_MS, async () => {
      const row = await this.#database.leadership();
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
      this.#timeline.check();
      this.#hostScript.check();
      if (await check()) return;
      if (performance.now() > deadline) {
        if (what === null) return;
        throw new Error(`waited ${withinMs / 1000} s in vain until ${what}`);
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
