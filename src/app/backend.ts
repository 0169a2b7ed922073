import { type Config, ConfigError } from "../config/config.ts";
import type { ReloadableSecret } from "../config/env/reloadable-secret.ts";
import { systemClock } from "../io/clock.ts";
import { genericHttpBackend } from "../io/generic-http/generic-http.ts";
import type { Secret } from "../io/http/call.ts";
import { HttpClient } from "../io/http/client.ts";
import { type OnCall, observed } from "../io/http/observed.ts";
import { agentServerBackend } from "../io/openhands/agent-server.ts";
import { openHandsCloudBackend } from "../io/openhands/cloud.ts";
import type { OpenTelemetry } from "../io/tracing.ts";
import { SharedSlots } from "../watchdog/concurrency/shared-slots.ts";
import type { Backend, Log } from "../watchdog/ports.ts";

/** The part of the configuration that says who is asked, and how. */
export type BackendSettings = Pick<Config, "backend" | "sweep" | "proxy">;

/** The backend the configuration names. Connects when it is asked something. */
export function openBackend(
  config: BackendSettings,
  log: Log,
  onBulk?: (() => void) | undefined,
  onCall?: OnCall | undefined,
  tracing?: OpenTelemetry | undefined,
): Backend & AsyncDisposable {
  const proxy = config.proxy.current;
  const http = new HttpClient({
    proxy,
    clock: systemClock,
    ...(tracing && { tracing }),
    ...(onBulk && { onBulk }),
  });
  const asked = onCall === undefined ? http : observed(http, systemClock, onCall);
  return Object.assign(chooseBackend(config, asked, log), {
    [Symbol.asyncDispose]: () => http.close(),
  });
}

/**
 * Of how many runs a worker has the row, and not yet the outcome, at once. OpenHands tells about many sandboxes in one
 * answer: while as many as are allowed are asked, half as many are looked up. One at a time stays one at a time.
 */
export function runsInHand({ backend, sweep: { concurrency } }: BackendSettings): number {
  const lookedUp = backend.kind === "openhands-cloud" ? Math.floor(concurrency / 2) : 0;
  return concurrency + lookedUp;
}

function chooseBackend(
  { backend, sweep }: BackendSettings,
  http: Pick<HttpClient, "request">,
  log: Log,
): Backend {
  const { concurrency, apiConcurrency, verifyTimeoutMs } = sweep;
  const shared = { http, clock: systemClock, concurrency, verifyTimeoutMs };
  switch (backend.kind) {
    case "openhands-cloud": {
      const { baseUrl, agentHosts } = backend;
      const serviceKey = secretOf(backend.serviceKey, log);
      const options = {
        ...shared,
        concurrency: apiConcurrency,
        agentSlots: new SharedSlots(concurrency),
        baseUrl,
        agentHosts,
        serviceKey,
      };
      return openHandsCloudBackend(options);
    }
    case "agent-server": {
      const { baseUrl } = backend;
      return agentServerBackend({ ...shared, baseUrl, apiKey: secretOf(backend.apiKey, log) });
    }
    case "http": {
      const { verifyUrl, cleanupUrl } = backend;
      const token = secretOf(backend.token, log);
      return genericHttpBackend({ ...shared, verifyUrl, cleanupUrl, token });
    }
    case "own":
      throw new ConfigError([
        "createWatchdog must be given a backend, because the configuration was parsed for one of your own, got none",
      ]);
  }
}

function secretOf<T extends string | null>(reloadable: ReloadableSecret<T>, log: Log): Secret<T> {
  const secret = {
    current: reloadable.current,
    refresh() {
      secret.current = reloadable.refresh(log);
      return secret.current;
    },
  };
  return secret;
}
