import { type Command as Commander, Option } from "commander";
import type { OnceCommand } from "../commands/command.ts";
import { overrideReason, positive, uuids, waitTime } from "./arguments.ts";
import type { Found } from "./found.ts";
import { EXIT_CODES, examples, RUN_EXIT_CODES } from "./help.ts";

/** What sweeps. */
export function addSweepCommands(program: Commander, found: Found): void {
  program
    .command("run")
    .description("the worker: sweeps on a schedule (also without a command)")
    .addHelpText("after", examples(["run", "run | tee -a watchdog.log"]))
    .addHelpText("after", RUN_EXIT_CODES)
    .action(() => found({ name: "run" }));

  program
    .command("once")
    .description("one sweep, then exit with a code that says how it went")
    .option("--dry-run", "judge as usual, but take no lease and write nothing")
    .option("--run <id...>", "only these runs; those that are not overdue are skipped", uuids)
    .option("--limit <n>", "at most this many runs", positive)
    .option("--wait <duration>", "how long to wait for the lease, such as 30s or 5m", waitTime)
    .option(
      "--override-guard <reason>",
      "write every confirmed presumption, whatever the guard says; the journal keeps the reason",
      overrideReason,
    )
    .addOption(
      new Option("--output <format>", "how to report")
        .choices(["human", "json", "github"])
        .default("human"),
    )
    .addHelpText(
      "after",
      examples([
        "once --dry-run",
        "once --run 80d24995-5170-4e0a-8e71-847beba6bbf4",
        "once --wait 30s --output github",
        "once --output json | jq .counts",
        'once --override-guard "the cluster was rebuilt"',
      ]),
    )
    .addHelpText("after", `\n${EXIT_CODES}`)
    .action(({ dryRun, run, limit, wait, overrideGuard, output }: OnceOptions) =>
      found({
        name: "once",
        dryRun: dryRun ?? false,
        output,
        runIds: run ?? null,
        limit: limit ?? null,
        waitMs: wait ?? 0,
        overrideReason: overrideGuard ?? null,
      }),
    );
}

/** As commander names them. */
interface OnceOptions extends Pick<OnceCommand, "output"> {
  readonly dryRun?: boolean;
  readonly run?: readonly string[];
  readonly limit?: number;
  readonly wait?: number;
  readonly overrideGuard?: string;
}
