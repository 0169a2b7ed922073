/** For every host that is not OpenHands: one URL that says in what state a run is, and optionally one to clean up. */
import { z } from "zod";
import type { Evidence, RunSnapshot } from "../../rules/model.ts";
import type { Backend, CleanupResult, CleanupTarget } from "../../watchdog/ports.ts";
import { CallBudget } from "./call-budget.ts";
import { type CallName, cleanupFailed, malformed } from "./failure.ts";
import { cannotTell, type HttpClient } from "./http-client.ts";
import { textTail } from "./text-tail.ts";
import { type UrlTemplate, urlTemplate } from "./url-template.ts";

export interface GenericHttpOptions {
  readonly http: HttpClient;
  /** May use `{run_id}`, `{sandbox_id}` and `{bash_command_id}`, but not in its host. */
  readonly verifyUrl: string;
  /** May use `{sandbox_id}`; `null` when there is nothing to clean up. */
  readonly cleanupUrl: string | null;
  /** Sent as a bearer token to both. */
  readonly token: string | null;
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
  const verifyUrl = urlTemplate(options.verifyUrl, ["run_id", "sandbox_id", "bash_command_id"]);
  const cleanupUrl =
    options.cleanupUrl === null ? null : urlTemplate(options.cleanupUrl, ["sandbox_id"]);
  return {
    name: "http",
    cleans: cleanupUrl !== null,
    verify: (run, signal) => verify(options, verifyUrl, run, signal),
    cleanup: (target, signal) => cleanup(options, cleanupUrl, target, signal),
  };
}

async function verify(
  options: GenericHttpOptions,
  template: UrlTemplate<"run_id" | "sandbox_id" | "bash_command_id">,
  run: RunSnapshot,
  signal: AbortSignal,
): Promise<Evidence> {
  signal.throwIfAborted();
  const { id: run_id, sandboxId: sandbox_id, bashCommandId: bash_command_id } = run;
  const url = template.fill({ run_id, sandbox_id, bash_command_id });
  if (url === null) return malformed(VERIFY, UNUSABLE_ID);
  const headers = authorization(options.token);
  const call = { ...VERIFY, method: "GET", url, headers, expects: "json", guarded: false } as const;
  const budget = new CallBudget(options.verifyTimeoutMs);
  const answer = await options.http.request(call, budget, signal);
  const usable = answer.kind === "json" && answer.status === 200;
  return usable ? readAnswer(answer.body) : cannotTell(VERIFY, answer);
}

function readAnswer(body: unknown): Evidence {
  const answer = answerShape.safeParse(body);
  if (!answer.success) return malformed(VERIFY, "answered with an unexpected shape");
  const { state, stdout, stderr } = answer.data;
  const exitCode = answer.data.exit_code ?? null;
  const detail = textTail(answer.data.detail);
  const output = { stdout: textTail(stdout), stderr: textTail(stderr) };
  if (isContradiction(state, exitCode)) {
    return malformed(VERIFY, "answered with a state and an exit code that contradict each other");
  }
  switch (state) {
    case "succeeded":
      return { kind: "exited", exitCode: 0, ...output };
    case "failed":
      return exitCode === null
        ? { kind: "failed", detail, ...output }
        : { kind: "exited", exitCode, ...output };
    case "running":
      return { kind: "running", output: "partial" };
    case "starting":
      return { kind: "starting" };
    case "lost":
      return { kind: "gone", reason: "lost", detail };
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

async function cleanup(
  options: GenericHttpOptions,
  template: UrlTemplate<"sandbox_id"> | null,
  target: CleanupTarget,
  signal: AbortSignal,
): Promise<CleanupResult> {
  signal.throwIfAborted();
  const url = target.sandboxId === "" ? null : template?.fill({ sandbox_id: target.sandboxId });
  if (!url) return cleanupFailed(malformed(CLEANUP, UNUSABLE_ID));
  const headers = authorization(options.token);
  const call = {
    ...CLEANUP,
    method: "DELETE",
    url,
    headers,
    expects: "nothing",
    guarded: false,
  } as const;
  const budget = new CallBudget(options.verifyTimeoutMs);
  const answer = await options.http.request(call, budget, signal);
  if (answer.kind === "status" && answer.status < 300) return { kind: "deleted" };
  return cleanupFailed(cannotTell(CLEANUP, answer));
}

function authorization(token: string | null): Readonly<Record<string, string>> {
  return token === null ? {} : { authorization: `Bearer ${token}` };
}
