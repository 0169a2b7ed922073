import { startScript } from "./child.ts";

/** How a worker verifies: one question per run, or those of the cloud. */
export type Mode = "http" | "cloud";

export interface Backend extends AsyncDisposable {
  readonly url: string;
}

/** Answers after `latencyMs`, from a process of its own. */
export async function startBackend(latencyMs = 0): Promise<Backend> {
  const script = startScript("instant-backend.ts", { latencyMs });
  const { url } = await script.read<{ readonly url: string }>();
  return { url, [Symbol.asyncDispose]: () => script[Symbol.asyncDispose]() };
}

/** For a worker's environment. */
export function backendEnv(mode: Mode, url: string): Readonly<Record<string, string>> {
  return mode === "http"
    ? { WATCHDOG_BACKEND: "http", WATCHDOG_HTTP_VERIFY_URL: `${url}/verify/{run_id}` }
    : { AUTOMATION_OPENHANDS_API_BASE_URL: url, AUTOMATION_SERVICE_KEY: "service-key" };
}
