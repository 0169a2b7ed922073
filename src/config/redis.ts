import type { RedisEndpoint } from "../rules/network/endpoints.ts";
import type { EnvReader } from "./env/env-reader.ts";
import { EnvSecret, type ReloadableSecret } from "./env/reloadable-secret.ts";
import {
  type ConnectionUrl,
  describeParameters,
  describeScheme,
  isHost,
  readConnectionUrl,
} from "./urls/connection-url.ts";

/** `null` without REDIS_URL: the lease is kept in Postgres. */
export function readRedis(reader: EnvReader): ReloadableSecret<RedisEndpoint> | null {
  return reader.hasSecret("REDIS_URL") ? new EnvSecret(reader, readUrl) : null;
}

/** Stands in for an endpoint that could not be read. */
const BLANK: RedisEndpoint = {
  host: "",
  port: 0,
  tls: false,
  user: null,
  password: null,
  database: 0,
};

function readUrl(reader: EnvReader): RedisEndpoint {
  const text = reader.secret("REDIS_URL");
  if (text === null) return BLANK;
  const example = "redis://:password@host:6379/0";
  const url = readConnectionUrl(reader, "REDIS_URL", text, { example, refuseScheme });
  return url === null ? BLANK : fromUrl(reader, url);
}

function refuseScheme(scheme: string): string | null {
  if (scheme === "redis" || scheme === "rediss") return null;
  // The lease needs one endpoint that decides; Postgres is always there.
  const found = /sentinel|cluster/.test(scheme)
    ? "a Sentinel or Cluster URL (unset REDIS_URL, the lease is then kept in Postgres)"
    : describeScheme(scheme);
  return `must be a redis:// or rediss:// URL of one endpoint, got ${found}`;
}

function fromUrl(reader: EnvReader, url: ConnectionUrl): RedisEndpoint {
  if (!isHost(url.host)) {
    reader.problem(
      "REDIS_URL",
      "must name one host, got none or several (for Sentinel or Cluster unset REDIS_URL, the lease is then kept in Postgres)",
    );
  }
  // Managed services may offer many databases, but the number stays small.
  const path = /^(\d{1,5})?\/?$/.exec(url.path);
  if (path === null) {
    reader.problem(
      "REDIS_URL",
      "must end in the number of a database such as /0, got another path",
    );
  }
  for (const parameter of describeParameters(url.parameters)) {
    reader.warn(`REDIS_URL has ${parameter}, it is ignored`);
  }
  return {
    host: url.host,
    port: url.port ?? 6379,
    tls: url.scheme === "rediss",
    user: url.user,
    password: url.password,
    database: Number(path?.[1] ?? 0),
  };
}
