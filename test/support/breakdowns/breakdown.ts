import { expect, it, vi } from "vitest";
import { createWorld, type World } from "../world/world.ts";
import {
  type Env,
  type Names,
  type Result,
  TellingWorker,
  toldByOnce,
  toldByStatus,
  toldToGithub,
} from "./told.ts";

/** One thing that is broken, and every word that is said about it. */
export interface Breakdown {
  readonly name: string;
  /** Breaks it. What it starts goes with the resources. */
  readonly breaks: (world: World, resources: AsyncDisposableStack) => Promise<Broken>;
  readonly words: Words;
  /** Named wherever it is not silent: the cause, or what to do about it. */
  readonly tells: string;
  /** Where nothing is said about it, and why. */
  readonly silent?: Readonly<Partial<Record<Exclude<keyof Words, "metrics" | "dryRun">, string>>>;
  /** Only a real write shows it: dry runs come after one. */
  readonly untilWritten?: true;
}

export interface Broken {
  /** Breaks it once more, after `once` and before the worker: `once` would have mended it. */
  readonly again?: () => Promise<unknown>;
  /** Besides what each process in that world is given. */
  readonly env?: Env;
  readonly names?: Names;
}

export interface Words {
  readonly once: Result;
  /** Left out where it says the same. */
  readonly dryRun?: Result;
  /** The status, and the reasons. */
  readonly health: readonly string[];
  /** One of its lines; `null` where it has none about it. */
  readonly log: string | null;
  readonly status: Result;
  /** Some of the samples. */
  readonly metrics: readonly string[];
}

/** Each asked twice: `once` before anybody else has, then a worker, and the database while it runs. */
export function expectWords(breakdowns: readonly Breakdown[]): void {
  for (const { name, breaks, words, tells, silent = {}, untilWritten } of breakdowns) {
    it(`reads the same everywhere, as often as they ask, when ${name}`, async () => {
      for (const column of ["once", "health", "log", "status"] as const) {
        const text = [words[column]].flat().join("; ");
        expect(text.includes(tells), `${column} tells ${tells}: ${text}`).toBe(!silent[column]);
      }
      await using resources = new AsyncDisposableStack();
      const world = resources.use(await createWorld());
      const { env: broken = {}, names = {}, again } = await breaks(world, resources);
      const env = { ...world.env, ...broken };
      await expectOnce(env, names, words, untilWritten === true);
      await again?.();
      await expectOthers(env, names, words);
    });
  }
}

const DRY = ["--dry-run"];

async function expectOnce(env: Env, names: Names, words: Words, untilWritten: boolean) {
  const { once, dryRun = once } = words;
  const first = untilWritten ? [] : [DRY, DRY];
  // While runs are due, and then again, when all of them wait for their next look.
  for (const args of [...first, [], [], DRY, DRY]) {
    const expected = args === DRY ? dryRun : once;
    const asked = `once ${args.join(" ")}`;
    expect(await toldByOnce(env, names, args), asked).toEqual(expected);
    expect(await toldToGithub(env, names, args), asked).toEqual(expected);
  }
}

async function expectOthers(env: Env, names: Names, words: Words): Promise<void> {
  const often = { WATCHDOG_SCHEDULE: "* * * * * *", ...env };
  await using worker = new TellingWorker(often, names);
  await vi.waitFor(async () => {
    const told = {
      health: worker.health(),
      log: worker.logged(),
      metrics: await worker.metrics(),
      status: await toldByStatus(env, names),
    };
    expect(told).toEqual({
      health: words.health,
      log: words.log === null ? NO_TROUBLE : expect.arrayContaining([words.log]),
      metrics: expect.arrayContaining([...words.metrics]),
      status: words.status,
    });
  }, WITHIN);
}

const NO_TROUBLE = expect.not.arrayContaining([expect.stringMatching(/^(warn|error) /)]);
const WITHIN = { timeout: 60_000, interval: 200 };
