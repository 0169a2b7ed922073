import { type EnvReader, quoted } from "./env/env-reader.ts";
import { isHost } from "./urls/connection-url.ts";

export interface HealthConfig {
  /** `::` is all addresses, IPv4 included. */
  readonly host: string;
  /** 0: any free port; `null`: no health endpoint. */
  readonly port: number | null;
}

export function readHealth(reader: EnvReader): HealthConfig {
  const host = reader.text("WATCHDOG_HEALTH_HOST");
  if (!isHost(host)) {
    reader.problem(
      "WATCHDOG_HEALTH_HOST",
      `must be an address or host name to listen on, without brackets or port, got ${quoted(host)}`,
    );
  }
  return { host, port: reader.portOrOff("WATCHDOG_HEALTH_PORT") };
}
