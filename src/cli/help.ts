/** What the help of each command adds: examples and exit codes, in at most 80 columns. */

export const DOCTOR_HELP = `
Examples:
  run-watchdog doctor
  run-watchdog doctor --json | jq '.checks[] | select(.result == "failure")'

Exit codes:
  0    all is well, or only deserves a look (warning)
  1    a link is broken
  2    bad usage, or settings that cannot be used; the rest is checked all the
       same
`;

export const CONFIG_HELP = `
Examples:
  run-watchdog config
  run-watchdog config --json | jq -r .fingerprint

Exit codes:
  0    the settings can be used
  2    bad usage, or settings that cannot be used; they are shown all the same
`;

export const PAUSE_HELP = `
Nothing is swept until then: no verdict, no deletion. A sweep under way writes
no more. The pause stands in the database, with who asked for it and why, and
ends by itself.

Examples:
  run-watchdog pause --for 2h --reason "the sandbox API is being moved"
  run-watchdog pause --for 30m --reason "looking into INC-17" --by ann

Exit codes: 0 paused, 2 bad usage, schema or rights, 69 database unreachable.
`;

export const RESUME_HELP = `
Example:
  run-watchdog resume

Exit codes: 0 not paused any more, also when it was not paused before; 2 bad
usage, schema or rights, 69 database unreachable.
`;

export const STATUS_HELP = `
WATCHDOG_SCHEDULE tells how often somebody has to sweep.

Examples:
  run-watchdog status
  run-watchdog status --json | jq .reasons

Exit codes:
  0    all is well, or only the workers' versions or settings differ
  2    bad usage, configuration or schema
  3    runs wait that got no answer or could not be handled, it is paused, or
       nobody has swept for three ticks
  4    the guard holds verdicts back
  69   the database is unreachable
`;

export function examples(lines: readonly string[]): string {
  return ["", "Examples:", ...lines.map((line) => `  run-watchdog ${line}`)].join("\n");
}

export const READER_EXIT_CODES = {
  explain: `Exit codes:
  0    explained
  2    bad usage, configuration or schema
  3    neither the host nor the journal knows such a run
  69   Postgres unreachable, or the login was rejected
`,
  history: `Exit codes:
  0    listed, also when there is nothing to list
  2    bad usage, configuration or schema
  69   Postgres unreachable, or the login was rejected
`,
};

export const SETTINGS_HELP = `Other commands have exit codes of their own: see run-watchdog help doctor.
Settings are environment variables: run-watchdog config shows what is in force.
`;

export const RUN_EXIT_CODES = `
Exit codes:
  0    stopped by SIGTERM or SIGINT, after finishing what was in flight
  1    unexpected error
  2    bad usage, configuration or schema, or its port is taken
  143  a second SIGTERM (130: SIGINT), or ten seconds were not enough
`;

export const MIGRATE_EXIT_CODES = `
Exit codes:
  0    the schema is up to date
  2    bad usage, configuration or rights; with --check also when anything is
       missing
  69   Postgres unreachable, or the login was rejected
  143  cancelled by SIGTERM (130: SIGINT), nothing of it stays
`;

export const HEALTHCHECK_EXIT_CODES = `
Exit codes:
  0    alive, or there is no fixed port to ask
  1    not alive, or no answer
  2    bad usage or configuration
`;

export const EXIT_CODES = `Exit codes:
  0    done
  1    unexpected error, the output could not be written, or the sweep lost its
       lease, its epoch or its database
  2    bad usage, configuration or schema
  3    a run could not be handled, got no usable answer, was skipped because the
       backend is not to be asked, or does not exist; also when such runs of
       earlier sweeps wait for their next look
  4    the guard held verdicts back, or holds some of earlier sweeps
  69   Postgres or Redis unreachable, or the login was rejected, nothing was
       swept
  75   another worker holds the lease, or it is paused: nothing was swept, or
       nothing after the pause began
  143  stopped by SIGTERM (130: SIGINT) after finishing what was in flight
`;
