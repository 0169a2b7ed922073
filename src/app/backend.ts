import type { Config } from "../config/config.ts";
import type { ReloadableSecret } from "../config/env/reloadable-secret.ts";
import { systemClock } from "../io/clock.ts";
import { genericHttpBackend } from "../io/generic-http/generic-http.ts";
import { HttpClient } from "../io/http/client.ts";
import type { Secret } from "../io/http/secret.ts";
import { agentServerBackend } from "../io/openhands/agent-server.ts";
import { openHandsCloudBackend } from "../io/openhands/cloud.ts";
import type { Backend, Log } from "../watchdog/ports.ts";
import { youngCollector } from "./heap.ts";

export type OpenBackend = Backend & AsyncDisposable;

/** The backend the configuration names. Connects when it is asked something. */
export function openBackend(config: Config, log: Log): OpenBackend {
  const proxy = config.proxy.current;
  const http = new HttpClient({ proxy, clock: systemClock, onBulk: youngCollector() });
  return Object.assign(chooseBackend(config, http, log), {
    [Symbol.asyncDispose]: () => http.close(),
  });
}

function chooseBackend(config: Config, http: HttpClient, log: Log): Backend {
  const { concurrency, apiConcurrency, verifyTimeoutMs } = config.sweep;
  const clock = systemClock;
  const { backend } = config;
  switch (backend.kind) {
    case "openhands-cloud":
      return openHandsCloudBackend({
        http,
        clock,
        baseUrl: backend.baseUrl,
        serviceKey: secretOf(backend.serviceKey, log),
        agentHosts: backend.agentHosts,
        apiConcurrency,
        verifyTimeoutMs,
      });
    case "agent-server":
      return agentServerBackend({
        http,
        clock,
        concurrency,
        baseUrl: backend.baseUrl,
        apiKey: secretOf(backend.apiKey, log),
        verifyTimeoutMs,
      });
    case "http":
      return genericHttpBackend({
        http,
        clock,
        concurrency,
        verifyUrl: backend.verifyUrl,
        cleanupUrl: backend.cleanupUrl,
        token: secretOf(backend.token, log),
        verifyTimeoutMs,
      });
  }
}

function secretOf<T extends string | null>(reloadable: ReloadableSecret<T>, log: Log): Secret<T> {
  return {
    get current() {
      return reloadable.current;
    },
    refresh: () => reloadable.refresh(log),
  };
}
