import type { Config } from "../config/config.ts";
import type { Rotating } from "../config/env/reloadable-secret.ts";
import { systemClock } from "../io/clock.ts";
import { genericHttpBackend } from "../io/generic-http/generic-http.ts";
import type { Secret } from "../io/http/call.ts";
import { HttpClient } from "../io/http/client.ts";
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
  const shared = { http, clock: systemClock, concurrency, verifyTimeoutMs };
  const { backend } = config;
  switch (backend.kind) {
    case "openhands-cloud": {
      const { baseUrl, agentHosts } = backend;
      const serviceKey = secretOf(backend.serviceKey, log);
      const options = { ...shared, concurrency: apiConcurrency, baseUrl, agentHosts, serviceKey };
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
  }
}

function secretOf<T extends string | null>(rotating: Rotating<T>, log: Log): Secret<T> {
  return {
    get current() {
      return rotating.current;
    },
    refresh: () => rotating.refresh(log),
  };
}
