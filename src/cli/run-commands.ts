import { type Command as Commander, Option } from "commander";
import type { Basis } from "../rules/model.ts";
import { lengthOfTime, uuid, verdictLimit } from "./arguments.ts";
import type { Found, JsonOption } from "./found.ts";
import { examples, READER_EXIT_CODES } from "./help.ts";

/** What tells of runs and their verdicts. */
export function addRunCommands(program: Commander, found: Found): void {
  program
    .command("explain")
    .description("why a run is where it is, and what a sweep would do with it now; writes nothing")
    .argument("<run-id>", "the run's id", uuid)
    .option("--json", "one JSON document")
    .addHelpText(
      "after",
      examples([
        "explain 80d24995-5170-4e0a-8e71-847beba6bbf4",
        "explain 80d24995-5170-4e0a-8e71-847beba6bbf4 --json | jq .now",
      ]),
    )
    .addHelpText("after", `\n${READER_EXIT_CODES.explain}`)
    .action((runId: string, { json = false }: JsonOption) =>
      found({ name: "explain", runId, json }),
    );

  program
    .command("history")
    .description("the verdicts in the journal, newest first; writes nothing")
    .option("--run <id>", "only those on this run", uuid)
    .option("--since <duration>", "not older than this, such as 24h or 7d", lengthOfTime)
    .addOption(new Option("--basis <basis>", "only these").choices(["proof", "presumption"]))
    .addOption(new Option("--outcome <outcome>", "only these").choices(["completed", "failed"]))
    .option("--overturned", "only presumptions whose run has another end by now")
    .option("--limit <n>", "at most this many, up to 1000", verdictLimit, 50)
    .option("--json", "one JSON document")
    .addHelpText(
      "after",
      examples([
        "history --since 24h",
        "history --basis presumption --overturned",
        "history --run 80d24995-5170-4e0a-8e71-847beba6bbf4",
        "history --limit 1000 --json | jq '.verdicts[].reason'",
      ]),
    )
    .addHelpText("after", `\n${READER_EXIT_CODES.history}`)
    .action(({ run, since, basis, outcome, limit, ...flags }: HistoryOptions) =>
      found({
        name: "history",
        limit,
        json: flags.json ?? false,
        overturned: flags.overturned ?? false,
        runId: run ?? null,
        sinceMs: since ?? null,
        basis: basis ?? null,
        outcome: outcome === undefined ? null : OUTCOMES[outcome],
      }),
    );
}

/** As commander names them. */
interface HistoryOptions extends JsonOption {
  readonly overturned?: boolean;
  readonly limit: number;
  readonly run?: string;
  readonly since?: number;
  readonly basis?: Basis;
  readonly outcome?: keyof typeof OUTCOMES;
}

const OUTCOMES = { completed: "COMPLETED", failed: "FAILED" } as const;
