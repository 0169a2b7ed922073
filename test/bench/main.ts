/** `npm run bench`: figures of one run on one machine. Compare ratios, not milliseconds. */
import { open } from "node:fs/promises";
import process from "node:process";
import { type Figure, type Findings, holds } from "./measure/figure.ts";
import { type Machine, machineWith } from "./measure/machine.ts";
import { tableOf } from "./measure/table.ts";
import { type BenchOptions, parseOptions } from "./options.ts";
import { CALLS } from "./parts/calls.ts";
import { CPU } from "./parts/cpu.ts";
import { FAILOVER } from "./parts/failover.ts";
import { IDLE } from "./parts/idle.ts";
import { INCIDENT } from "./parts/incident.ts";
import { LATENCY } from "./parts/latency.ts";
import type { Part } from "./parts/part.ts";
import { SCALE } from "./parts/scale.ts";
import { SHARDED } from "./parts/shards.ts";
import { Place } from "./place.ts";

const PARTS: readonly Part[] = [INCIDENT, LATENCY, CPU, SCALE, IDLE, FAILOVER, SHARDED, CALLS];

process.exitCode = await main(process.argv.slice(2));

/** @returns 0, whether the limits hold or not; 1 when a part could not be measured; 2 when nothing could be. */
async function main(argv: readonly string[]): Promise<number> {
  const names = PARTS.map(({ name }) => name);
  const options = parseOptions(argv, names);
  if (typeof options === "string") {
    process.stderr.write(`bench: ${options}\n\n${usage()}`);
    return 2;
  }
  if (options.help) {
    print(usage().trimEnd());
    return 0;
  }
  try {
    return await bench(options);
  } catch (error) {
    process.stderr.write(`bench: ${error instanceof Error ? error.message : String(error)}\n`);
    return 2;
  }
}

async function bench(options: BenchOptions): Promise<number> {
  const { parts: named, json } = options;
  const startedAt = new Date().toISOString();
  // Nobody wants to learn at the end that it cannot be written.
  await using file = json === null ? null : await open(json, "w");
  await using place = await Place.open();
  const wanted = PARTS.filter(({ name }) => named.length === 0 || named.includes(name));
  const parts: PartResult[] = [];
  for (const part of wanted) parts.push(await measure(part, place, options));
  const machine = machineWith(place.postgres, place.redisLabel);
  await file?.writeFile(
    `${JSON.stringify({ version: 1, startedAt, machine, options, parts }, null, 2)}\n`,
  );
  print(`\n${summary(parts)}\n${describe(machine)}`);
  return parts.some(({ failure }) => failure !== null) ? 1 : 0;
}

function summary(parts: readonly PartResult[]): string {
  const demanded = parts
    .flatMap(({ figures }) => figures)
    .filter((figure) => figure.holds !== null);
  const held = demanded.filter((figure) => figure.holds);
  return `${held.length} of ${demanded.length} limits hold`;
}

function describe({ cores, cpu, node, postgres, redis }: Machine): string {
  return [`${cores} cores`, cpu, `Node.js ${node}`, postgres, redis ?? ""]
    .filter((part) => part !== "")
    .join(", ");
}

interface PartResult extends Findings {
  readonly name: string;
  readonly title: string;
  readonly figures: readonly (Figure & { readonly holds: boolean | null })[];
  readonly tookMs: number;
  /** Why it could not be measured. */
  readonly failure: string | null;
}

async function measure(
  { name, title, measure }: Part,
  place: Place,
  options: BenchOptions,
): Promise<PartResult> {
  print(`\n${name}: ${title}`);
  const startedMs = performance.now();
  const say = (line: string) => void process.stderr.write(`  ... ${line}\n`);
  let found: Findings = { figures: [], notes: [] };
  let failure: string | null = null;
  try {
    found = await measure({ place, options, say });
  } catch (error) {
    failure = error instanceof Error ? error.message : String(error);
    print(`  could not be measured: ${failure}`);
  }
  for (const line of tableOf(found)) print(line);
  const figures = found.figures.map((figure) => ({ ...figure, holds: holds(figure) }));
  const tookMs = Math.round(performance.now() - startedMs);
  return { name, title, ...found, figures, tookMs, failure };
}

function usage(): string {
  const parts = PARTS.map(({ name, title }) => `  ${name.padEnd(10)} ${title}`).join("\n");
  return `Usage: npm run bench -- [<part>...] [options]

Measures the built worker, by default all parts in about nine minutes. Servers run in
processes of their own: TEST_DATABASE_URL and TEST_REDIS_URL name given ones, else
they are started here. A ratio of one run says more than a figure.

Parts:
${parts}

Options:
  --runs <n>       how many stale runs (latency, cpu, shards, calls)
  --answer-ms <n>  how long an answer takes (latency, shards)
  --at-once <n>    how many runs are verified at once (latency, shards)
  --rows <n>       how many rows the table has (scale)
  --rounds <n>     how often the contestants take turns (incident, cpu)
  --kills <n>      how many leaders are killed (failover, shards)
  --seconds <n>    how long to look (idle)
  --full           the sizes of which the limits speak (scale, failover, idle)
  --profile        write a .cpuprofile of the worker and show its top files (cpu)
  --with-host      the platform's own watchdog as well (incident): with the Python that
                   OPENHANDS_AUTOMATION_PYTHON names, else installed from PyPI once
  --json <file>    write all figures as one JSON document
  --help           show this
`;
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
