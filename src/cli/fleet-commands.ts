import { type Command as Commander, Option } from "commander";
import type { MigrateCommand } from "../commands/command.ts";
import { oneLine, pauseTime, roleName } from "./arguments.ts";
import type { Found, JsonOption } from "./found.ts";
import {
  CONFIG_HELP,
  DOCTOR_HELP,
  examples,
  HEALTHCHECK_EXIT_CODES,
  MIGRATE_EXIT_CODES,
  PAUSE_HELP,
  RESUME_HELP,
  STATUS_HELP,
} from "./help.ts";

/** What sets a fleet up, tells how it is, and keeps it from sweeping for a while. */
export function addFleetCommands(program: Commander, found: Found): void {
  program
    .command("migrate")
    .description("create or update the worker's own tables; safe from several pods at once")
    .option("--check", "only list what is missing; exit with 2 if anything is")
    .option("--with-host-tables", "also create the host's tables, for development")
    .addOption(
      new Option(
        "--print-grants <role>",
        "only print the GRANT statements that this role needs to be the worker's",
      )
        .argParser(roleName)
        .conflicts(["check", "withHostTables"]),
    )
    .addHelpText("after", examples(["migrate --check", "migrate", PRINT_GRANTS]))
    .addHelpText("after", MIGRATE_EXIT_CODES)
    .action(({ check = false, withHostTables = false, printGrants: role }: MigrateOptions) =>
      found(
        role === undefined ? { name: "migrate", check, withHostTables } : { name: "grants", role },
      ),
    );

  program
    .command("doctor")
    .description("check every link, from the settings to a look-up; writes nothing")
    .option("--json", "one JSON document")
    .addHelpText("after", DOCTOR_HELP)
    .action(({ json = false }: JsonOption) => found({ name: "doctor", json }));

  program
    .command("config")
    .description("what is in force and where it came from, without secrets")
    .option("--json", "one JSON document")
    .addHelpText("after", CONFIG_HELP)
    .action(({ json = false }: JsonOption) => found({ name: "config", json }));

  program
    .command("pause")
    .description("nobody sweeps for a while, whichever worker it is; ends by itself")
    .requiredOption("--for <duration>", "for how long, such as 30m or 2h; at most 7d", pauseTime)
    .requiredOption("--reason <text>", "why; shown wherever the pause is", oneLine("why"))
    .option("--by <name>", "who says so (default: the user of this process)", oneLine("who"))
    .addHelpText("after", PAUSE_HELP)
    .action(({ for: forMs, reason, by }: PauseOptions) =>
      found({ name: "pause", forMs, reason, by: by ?? null }),
    );

  program
    .command("resume")
    .description("end a pause before its time")
    .option("--by <name>", "who says so (default: the user of this process)", oneLine("who"))
    .addHelpText("after", RESUME_HELP)
    .action(({ by }: Pick<PauseOptions, "by">) => found({ name: "resume", by: by ?? null }));

  program
    .command("status")
    .description("what the database tells about all workers; needs only SELECT")
    .option("--json", "one JSON document")
    .addHelpText("after", STATUS_HELP)
    .action(({ json = false }: JsonOption) => found({ name: "status", json }));

  program
    .command("healthcheck")
    .description("ask the worker of this container whether it is alive; exit with 1 if not")
    .addHelpText("after", examples(["healthcheck"]))
    .addHelpText("after", HEALTHCHECK_EXIT_CODES)
    .action(() => found({ name: "healthcheck" }));
}

const PRINT_GRANTS = "migrate --print-grants watchdog_user | psql";

/** As commander names them. */
interface MigrateOptions extends Partial<Pick<MigrateCommand, "check" | "withHostTables">> {
  readonly printGrants?: string;
}

/** As commander names them. */
interface PauseOptions {
  readonly for: number;
  readonly reason: string;
  readonly by?: string;
}
