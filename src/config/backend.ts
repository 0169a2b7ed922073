import { type EnvReader, quoted } from "./env/env-reader.ts";
import { EnvSecret, type ReloadableSecret } from "./env/reloadable-secret.ts";
import type { SecretName, VariableName } from "./env/settings.ts";
import { isHost } from "./urls/connection-url.ts";
import { readBaseUrl, readUrlTemplate } from "./urls/http-url.ts";

export type BackendConfig =
  /** The caller brings one. */
  | { readonly kind: "own" }
  | {
      readonly kind: "openhands-cloud";
      /** Without a slash at its end. */
      readonly baseUrl: string;
      readonly serviceKey: ReloadableSecret<string>;
      /** Suffixes on label boundaries, lower case; empty: no restriction. */
      readonly agentHosts: readonly string[];
    }
  | {
      readonly kind: "agent-server";
      readonly baseUrl: string;
      readonly apiKey: ReloadableSecret<string | null>;
    }
  | {
      readonly kind: "http";
      /** Holds `{run_id}`, and may hold `{sandbox_id}` and `{bash_command_id}`. */
      readonly verifyUrl: string;
      /** Holds `{sandbox_id}`. */
      readonly cleanupUrl: string | null;
      readonly token: ReloadableSecret<string | null>;
    };

export function readBackend(reader: EnvReader): BackendConfig {
  const choice = reader.choice("WATCHDOG_BACKEND");
  const agentHosts = readAgentHosts(reader);
  // Which variables are needed cannot be said then.
  if (reader.failed("WATCHDOG_BACKEND")) return { kind: "own" };
  const kind = choice === "auto" ? automaticKind(reader) : choice;
  if (kind !== "http" && reader.text("WATCHDOG_HTTP_VERIFY_URL") !== null) {
    reader.warn(
      `WATCHDOG_HTTP_VERIFY_URL is ignored by the ${kind} backend, set WATCHDOG_BACKEND=http to use it`,
    );
  }
  switch (kind) {
    case "openhands-cloud":
      return readCloud(reader, agentHosts);
    case "agent-server":
      return readAgentServer(reader);
    case "http":
      return readHttp(reader);
  }
}

/** As the host service decides it. */
function automaticKind(reader: EnvReader): "agent-server" | "openhands-cloud" {
  const shared = reader.text("AUTOMATION_AGENT_SERVER_URL") !== null;
  return shared ? "agent-server" : "openhands-cloud";
}

function readCloud(reader: EnvReader, agentHosts: readonly string[]): BackendConfig {
  const [url, key] = ["AUTOMATION_OPENHANDS_API_BASE_URL", "AUTOMATION_SERVICE_KEY"] as const;
  const why =
    "for the openhands-cloud backend (or choose another one: AUTOMATION_AGENT_SERVER_URL, WATCHDOG_BACKEND=http)";
  return {
    kind: "openhands-cloud",
    baseUrl: required(reader, url, readBaseUrl(reader, url), why),
    serviceKey: new EnvSecret(reader, (now) => required(now, key, now.headerSecret(key), why)),
    agentHosts,
  };
}

function readAgentServer(reader: EnvReader): BackendConfig {
  const name = "AUTOMATION_AGENT_SERVER_URL";
  const baseUrl = readBaseUrl(reader, name);
  return {
    kind: "agent-server",
    baseUrl: required(reader, name, baseUrl, "for the agent-server backend"),
    apiKey: reloadableHeader(reader, "AUTOMATION_AGENT_SERVER_API_KEY"),
  };
}

function readHttp(reader: EnvReader): BackendConfig {
  const name = "WATCHDOG_HTTP_VERIFY_URL";
  const verifyUrl = readUrlTemplate(reader, name, ["run_id", "sandbox_id", "bash_command_id"]);
  return {
    kind: "http",
    verifyUrl: required(reader, name, verifyUrl, "for the http backend"),
    // A deletion knows nothing but the sandbox.
    cleanupUrl: readUrlTemplate(reader, "WATCHDOG_HTTP_CLEANUP_URL", ["sandbox_id"]),
    token: reloadableHeader(reader, "WATCHDOG_HTTP_TOKEN"),
  };
}

function reloadableHeader(reader: EnvReader, name: SecretName): ReloadableSecret<string | null> {
  return new EnvSecret(reader, (now) => now.headerSecret(name));
}

function required(
  reader: EnvReader,
  name: VariableName,
  value: string | null,
  why: string,
): string {
  if (value === null && !reader.failed(name)) {
    reader.problem(name, `must be set ${why}, got nothing`);
  }
  return value ?? "";
}

function readAgentHosts(reader: EnvReader): readonly string[] {
  const text = reader.text("WATCHDOG_AGENT_HOSTS");
  if (text === null) return [];
  const hosts = text
    .toLowerCase()
    .split(",")
    // ".example.com" and "*.example.com" mean the suffix "example.com".
    .map((part) => part.trim().replace(/^(\*?\.)/, ""))
    .filter((part) => part !== "");
  // Never "no restriction" by accident: a list of nothing is refused as well.
  if (hosts.length === 0 || !hosts.every(isHost)) {
    reader.problem(
      "WATCHDOG_AGENT_HOSTS",
      `must be host names separated by commas, without scheme or port, got ${quoted(text)}`,
    );
  }
  return hosts;
}
