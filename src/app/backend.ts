import type { Config } from "../config.ts";
import { agentServerBackend } from "../io/backends/agent-server.ts";
import type { ProxySettings } from "../io/backends/dispatcher.ts";
import { genericHttpBackend } from "../io/backends/generic-http.ts";
import { HttpClient } from "../io/backends/http-client.ts";
import { openHandsCloudBackend } from "../io/backends/openhands-cloud.ts";
import { systemClock } from "../io/clock.ts";
import type { Backend } from "../watchdog/ports.ts";

export type OpenBackend = Backend & AsyncDisposable;

/** The backend the configuration names. Connects when it is asked something. */
export function openBackend(config: Config, proxy: ProxySettings | null): OpenBackend {
  const http = new HttpClient({ proxy, clock: systemClock });
  return Object.assign(chooseBackend(config, http), {
    [Symbol.asyncDispose]: () => http.close(),
  });
}

function chooseBackend(config: Config, http: HttpClient): Backend {
  const { apiConcurrency, verifyTimeoutMs } = config.sweep;
  const { backend } = config;
  switch (backend.kind) {
    case "openhands-cloud":
      return openHandsCloudBackend({
        http,
        clock: systemClock,
        baseUrl: backend.baseUrl,
        serviceKey: backend.serviceKey,
        agentHosts: backend.agentHosts,
        apiConcurrency,
        verifyTimeoutMs,
      });
    case "agent-server":
      return agentServerBackend({
        http,
        baseUrl: backend.baseUrl,
        apiKey: backend.apiKey,
        verifyTimeoutMs,
      });
    case "http":
      return genericHttpBackend({
        http,
        verifyUrl: backend.verifyUrl,
        cleanupUrl: backend.cleanupUrl,
        token: backend.token,
        verifyTimeoutMs,
      });
  }
}
