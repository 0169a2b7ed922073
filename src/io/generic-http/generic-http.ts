/** For every host that is not OpenHands: one URL that says in what state a run is, and optionally one to clean up. */
import { z } from "zod";
import type { Evidence } from "../../rules/model.ts";
import { placeholderProblem } from "../../rules/network/placeholders.ts";
import type { Backend } from "../../watchdog/ports.ts";
import type { Owner } from "../api-gate/circuit.ts";
import { ApiGate, type ApiGateOptions, type GatedCall } from "../api-gate/gate.ts";
import {
  type Answer,
  cannotTell,
  cleanupFailed,
  type HttpAnswer,
  isCleanupAnswer,
  isUnauthorized,
  malformed,
  readCleanup,
} from "../http/answer.ts";
import { CallBudget, type CallName, pathSegment, type Secret, withSecret } from "../http/call.ts";
import { textTail } from "../http/json-collector.ts";

export interface GenericHttpOptions extends Omit<ApiGateOptions, "main"> {
  /** May use `{run_id}`, `{sandbox_id}` and `{bash_command_id}`, but not in its host. */
  readonly verifyUrl: string;
  /** May use `{sandbox_id}`; `null` when there is nothing to clean up. */
  readonly cleanupUrl: string | null;
  /** Sent as a bearer token to both. */
  readonly token: Secret<string | null>;
  /** Time in calls that one verification or clean-up may take. */
  readonly verifyTimeoutMs: number;
}

const VERIFY: CallName = { source: "verify_endpoint", operation: "verify" };
const CLEANUP: CallName = { source: "verify_endpoint", operation: "cleanup" };

const UNUSABLE_ID = "was not sent: an id cannot be put into the url";

const answerShape = z.object({
  state: z.enum(["running", "starting", "succeeded", "failed", "lost"]),
  exit_code: z.int32().nullish(),
  stdout: z.string().nullish(),
  stderr: z.string().nullish(),
  detail: z.string().nullish(),
});

/** @throws TypeError when a URL template cannot be used. */
export function genericHttpBackend(options: GenericHttpOptions): Backend {
  const { cleanupUrl, token } = options;
  const verifyAt = urlTemplate(options.verifyUrl, ["run_id", "sandbox_id", "bash_command_id"]);
  const cleanupAt = cleanupUrl === null ? null : urlTemplate(cleanupUrl, ["sandbox_id"]);
  const gate = new ApiGate({ ...options, main: VERIFY });
  // What another host asks for is no reason to ask this one less.
  const cleanupGate = isSameHost(options.verifyUrl, cleanupUrl ?? options.verifyUrl)
    ? gate
    : new ApiGate({ ...options, main: CLEANUP });

  async function request(
    through: ApiGate,
    call: Omit<GatedCall, "headers" | "guarded">,
    owner: Owner,
    signal: AbortSignal,
  ): Promise<Answer> {
    const budget = new CallBudget(options.verifyTimeoutMs);
    const send = (value: string | null) =>
      through.request({ ...call, headers: authorization(value), guarded: false }, budget, signal);
    const answer = await withSecret(token, send, isUnauthorized);
    if (isUnauthorized(answer)) through.unauthorized(call, owner);
    return answer;
  }

  return {
    name: "http",
    api: gate,
    cleans: cleanupAt !== null,
    async verify(run, signal) {
      signal.throwIfAborted();
      const { id: run_id, sandboxId: sandbox_id, bashCommandId: bash_command_id } = run;
      const url = verifyAt({ run_id, sandbox_id, bash_command_id });
      if (url === null) return malformed(VERIFY, UNUSABLE_ID);
      // Read once, although the gate looks at it first.
      let heard: { readonly answer: Answer; readonly evidence: Evidence } | null = null;
      const hear = (answer: Answer) => {
        if (heard?.answer !== answer) heard = { answer, evidence: read(answer) };
        return heard.evidence;
      };
      const isUsable = (answer: HttpAnswer) => isCertain(hear(answer));
      const call = { ...VERIFY, method: "GET", url, expects: "json", isUsable } as const;
      return hear(await request(gate, call, run, signal));
    },
    async cleanup(target, signal) {
      signal.throwIfAborted();
      const { sandboxId: sandbox_id } = target;
      const url = sandbox_id === "" ? null : cleanupAt?.({ sandbox_id });
      if (!url) return cleanupFailed(malformed(CLEANUP, UNUSABLE_ID));
      const name = { ...CLEANUP, method: "DELETE" } as const;
      const call = { ...name, url, expects: "nothing", isUsable: isCleanupAnswer } as const;
      return readCleanup(CLEANUP, await request(cleanupGate, call, target, signal));
    },
  };
}

function isSameHost(a: string, b: string): boolean {
  return new URL(a).host === new URL(b).host;
}

function authorization(token: string | null): Readonly<Record<string, string>> {
  return token === null ? {} : { authorization: `Bearer ${token}` };
}

function isCertain({ kind }: Evidence): boolean {
  return kind !== "unreachable" && kind !== "malformed";
}

function read(answer: Answer): Evidence {
  const usable = answer.kind === "json" && answer.status === 200;
  return usable ? readBody(answer.body) : cannotTell(VERIFY, answer);
}

function readBody(body: unknown): Evidence {
  const answer = answerShape.safeParse(body);
  if (!answer.success) return malformed(VERIFY, "answered with an unexpected shape");
  const { state, stdout, stderr, detail } = answer.data;
  const exitCode = answer.data.exit_code ?? null;
  const output = { stdout: textTail(stdout), stderr: textTail(stderr) };
  if (isContradiction(state, exitCode)) {
    return malformed(VERIFY, "answered with a state and an exit code that contradict each other");
  }
  switch (state) {
    case "succeeded":
      return { kind: "exited", exitCode: 0, ...output };
    case "failed":
      return exitCode === null
        ? { kind: "failed", detail: textTail(detail), ...output }
        : { kind: "exited", exitCode, ...output };
    case "running":
      return { kind: "running", output: "partial" };
    case "starting":
      return { kind: "starting" };
    case "lost":
      return { kind: "gone", reason: "lost", detail: textTail(detail) };
  }
}

function isContradiction(
  state: z.infer<typeof answerShape>["state"],
  exitCode: number | null,
): boolean {
  if (exitCode === null) return false;
  if (state === "succeeded") return exitCode !== 0;
  if (state === "failed") return exitCode === 0;
  return true;
}

const PLACEHOLDER = /\{([^{}]*)\}/g;

/**
 * From a URL with placeholders such as `{run_id}`, checked once, to one for each run. That is `null` when an id cannot be
 * put into a path without changing it; a missing id becomes an empty text.
 *
 * @throws TypeError when the text is no http(s) URL, has placeholders other than `names`, or has one before the path.
 */
function urlTemplate<Name extends string>(
  text: string,
  names: readonly Name[],
): (ids: Readonly<Record<Name, string | null>>) => URL | null {
  const url = URL.parse(text.replaceAll(PLACEHOLDER, "x"));
  if (url?.protocol !== "http:" && url?.protocol !== "https:") {
    throw new TypeError("the URL template must be an http or https URL");
  }
  const problem = placeholderProblem(text, names);
  if (problem !== null) throw new TypeError(`the URL template ${problem}`);
  // At the odd places stand the names: what the pattern's group has found is left between the pieces.
  const pieces = text
    .split(PLACEHOLDER)
    .map((piece, place) => (place % 2 === 0 ? piece : names.indexOf(piece as Name)));
  return (ids) => {
    const known = names.map((name) => encoded(ids[name]));
    if (known.includes(null)) return null;
    const filled = pieces.map((piece) => (typeof piece === "string" ? piece : known[piece]));
    return new URL(filled.join(""));
  };
}

function encoded(id: string | null): string | null {
  return id === null || id === "" ? "" : pathSegment(id);
}
