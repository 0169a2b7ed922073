import { causeOf } from "../cause.ts";
import type { ClockReading } from "../clock-skew.ts";
import type { Evidence, Failure } from "../model.ts";
import { remedyFor } from "../remedy.ts";
import { type Check, failure, ok, skipped, warning } from "./check.ts";
import { checkClock } from "./clock.ts";

/** What a GET without any credential got. */
export type ServerAnswer =
  | {
      readonly kind: "answered";
      readonly status: number;
      readonly isHtml: boolean;
      /** `null` without a usable Date header. */
      readonly clock: ClockReading | null;
    }
  | { readonly kind: "failed"; readonly failure: Failure };

export type BackendKind = "openhands-cloud" | "agent-server" | "http";

export const BACKEND = "backend";
const CLOCK = "backend clock";
const LOOKUP = ["service key", "run look-up", "agent hosts"] as const;

/** @param call how a failure names what was asked. */
export function checkBackend(
  answer: ServerAnswer,
  kind: BackendKind,
  call: { readonly source: string; readonly operation: string },
): readonly Check[] {
  if (answer.kind === "failed") {
    return [fromFailure(BACKEND, answer.failure), ...skipped(BACKEND, CLOCK)];
  }
  return [checkAnswer(answer, kind, call), checkItsClock(answer.clock)];
}

function checkAnswer(
  { status, isHtml }: Extract<ServerAnswer, { kind: "answered" }>,
  kind: BackendKind,
  call: { readonly source: string; readonly operation: string },
): Check {
  const found = isHtml ? `HTTP ${status} with a web page` : `HTTP ${status}`;
  // A URL of one's own may say anything to nobody about nothing.
  const isElsewhere = kind !== "http" && (isHtml || NO_SUCH_API.test(String(status)));
  if (isElsewhere) {
    const remedy = remedyFor(`${call.source} ${call.operation}: HTTP 404`);
    return failure(
      BACKEND,
      `${kind} answers, but not as an API does: ${found}`,
      ...(remedy === null ? [] : [remedy]),
    );
  }
  if (status >= 500) {
    return warning(BACKEND, `${kind} answers with ${found}`, "look into its own log");
  }
  return ok(BACKEND, `${kind} answers (${found} without a key)`);
}

const NO_SUCH_API = /^(3\d\d|404|405|410)$/;

function checkItsClock(reading: ClockReading | null): Check {
  if (reading === null) return warning(CLOCK, "its answers have no Date header to compare");
  return checkClock(CLOCK, "the backend", reading);
}

export interface LookupFacts {
  readonly kind: BackendKind;
  /** `null`: there is no run to ask about. */
  readonly asked: { readonly runId: string; readonly evidence: Evidence } | null;
  /** Only the cloud has such a list; empty: any host. */
  readonly agentHosts: readonly string[];
}

/** One run was verified as a sweep does it: how far that got tells which link is broken. */
export function checkLookup({ kind, asked, agentHosts }: LookupFacts): readonly Check[] {
  if (asked === null) {
    return [
      warning(
        "run look-up",
        "not tried, and the key with it: no run in the database has what is needed for that",
        "look again when the platform has started a run",
      ),
    ];
  }
  const { runId, evidence } = asked;
  switch (evidence.kind) {
    case "unreachable":
    case "malformed":
      return checkFailure(evidence, runId, kind);
    case "not-asked":
      return [warning("run look-up", `not asked about run ${runId}: ${evidence.reason}`)];
    default:
      return [
        ...(kind === "openhands-cloud" ? [KEY_ACCEPTED] : []),
        ok("run look-up", `run ${runId}: ${inWords(evidence)}`),
        ...(kind === "openhands-cloud" ? [checkAgentHosts(evidence, agentHosts)] : []),
      ];
  }
}

const KEY_ACCEPTED = ok("service key", "accepted, a user's key was handed out for it");

function checkFailure(
  { kind: how, failure: why }: Extract<Evidence, { kind: "unreachable" | "malformed" }>,
  runId: string,
  kind: BackendKind,
): readonly Check[] {
  if (kind !== "openhands-cloud") return [fromFailure("run look-up", why)];
  switch (why.source) {
    case "service_api":
      return [fromFailure("service key", why), ...skipped("service key", LOOKUP[1], LOOKUP[2])];
    case "agent_server": {
      const found = ok("run look-up", `the API knows the sandbox of run ${runId}`);
      // One sandbox may be broken; an answer that is refused or of another kind concerns all.
      const check = fromFailure("agent hosts", why);
      return [KEY_ACCEPTED, found, how === "malformed" ? check : { ...check, result: "warning" }];
    }
    default:
      return [KEY_ACCEPTED, fromFailure("run look-up", why), ...skipped("run look-up", LOOKUP[2])];
  }
}

function fromFailure(link: string, why: Failure): Check {
  const cause = causeOf(why);
  const remedy = remedyFor(cause);
  return failure(link, cause, ...(remedy === null ? [] : [remedy]));
}

function checkAgentHosts(evidence: Evidence, agentHosts: readonly string[]): Check {
  const link = "agent hosts";
  const allowed =
    agentHosts.length === 0 ? "any host is allowed" : `allowed are ${agentHosts.join(", ")}`;
  if (ASKED_AGENT_SERVER.has(evidence.kind) || wasToldByAgentServer(evidence)) {
    return ok(link, `the sandbox's agent server was asked; ${allowed}`);
  }
  if (agentHosts.length === 0) return ok(link, allowed);
  return warning(
    link,
    `${allowed}; not compared with what the API hands out, because that sandbox does not run`,
    "look again while a run is RUNNING",
  );
}

const ASKED_AGENT_SERVER: ReadonlySet<string> = new Set(["exited", "failed", "running"]);

function wasToldByAgentServer(evidence: Evidence): boolean {
  if (evidence.kind !== "gone") return false;
  return evidence.reason === "command-unknown" || evidence.reason === "server-restarted";
}

/** Never what a run printed. */
function inWords(evidence: Evidence): string {
  switch (evidence.kind) {
    case "exited":
      return `its command exited with ${evidence.exitCode}`;
    case "failed":
      return "it is stated to have failed";
    case "running":
      return "its command runs";
    case "starting":
      return "its sandbox starts";
    case "no-command":
      return "its row names no command";
    case "gone":
      return `its sandbox or command is gone (${evidence.reason})`;
    default:
      return evidence.kind;
  }
}
