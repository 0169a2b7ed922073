import { systemClock } from "../../io/clock.ts";
import type { CallName } from "../../io/http/call.ts";
import { urlBelow } from "../../io/http/call.ts";
import { probeServer } from "../../io/http/server-probe.ts";
import type { BackendKind, ServerAnswer } from "../../rules/doctor/backend.ts";
import type { Evidence, RunSnapshot } from "../../rules/model.ts";
import type { Log, RunIdName } from "../../watchdog/ports.ts";
import { type BackendSettings, openBackend } from "../backend.ts";

const PROBE_WITHIN_MS = 10_000;

export interface Reached {
  readonly kind: BackendKind;
  readonly call: CallName;
  readonly answer: ServerAnswer;
}

/** Which of a run's ids the backend cannot be asked without. */
export function neededIds({ backend }: BackendSettings): readonly RunIdName[] {
  switch (backend.kind) {
    case "openhands-cloud":
      return ["sandboxId"];
    case "agent-server":
      return ["bashCommandId"];
    default:
      return [];
  }
}

/** Without a key. */
export async function reachBackend(
  settings: BackendSettings,
  signal: AbortSignal,
): Promise<Reached | null> {
  const door = doorOf(settings);
  if (door === null) return null;
  const { kind, ...call } = door;
  const proxy = settings.proxy.current;
  const options = { proxy, clock: systemClock, withinMs: PROBE_WITHIN_MS };
  return { kind, call, answer: await probeServer(call, options, signal) };
}

/** What every server of its kind answers with, whoever asks. */
function doorOf({ backend }: BackendSettings): (CallName & { kind: BackendKind; url: URL }) | null {
  switch (backend.kind) {
    case "openhands-cloud": {
      const url = urlBelow(new URL(backend.baseUrl), "/api/v1/sandboxes", { id: "none" });
      return { kind: backend.kind, source: "sandbox_api", operation: "get_sandbox", url };
    }
    case "agent-server": {
      const url = urlBelow(new URL(backend.baseUrl), "/server_info");
      return { kind: backend.kind, source: "agent_server", operation: "server_info", url };
    }
    case "http": {
      const url = new URL("/", backend.verifyUrl.replaceAll(/[{}]/g, ""));
      return { kind: backend.kind, source: "verify_endpoint", operation: "verify", url };
    }
    case "own":
      return null;
  }
}

/** One verification as a sweep makes it. Nothing is written about the run. */
export async function askAbout(
  settings: BackendSettings,
  run: RunSnapshot,
  log: Log,
  signal: AbortSignal,
): Promise<Evidence> {
  await using backend = openBackend(settings, log);
  return await backend.verify(run, signal);
}
