import { Redis } from "ioredis";
import { AUTHORITY_FILE, type CertificateName, certificate } from "../certificates.ts";
import { freePort } from "../free-port.ts";
import { startRedis } from "./redis.ts";
import type { RedisServer } from "./server.ts";

export interface TlsRedis extends AsyncDisposable {
  /** The same server without TLS. */
  readonly plainUrl: string;
  /** rediss://127.0.0.1 */
  readonly url: string;
  /** New connections are shown this one from now on. */
  show(name: CertificateName): Promise<void>;
  /** Lets only those in who have a certificate of their own. */
  askForCertificates(): Promise<void>;
}

/** A Redis of the test's own that speaks TLS on a second port. */
export async function startTlsRedis(name: CertificateName): Promise<TlsRedis> {
  const server = await startRedis();
  try {
    await show(server, name);
    const port = await freePort(server.host);
    await configure(server, { "tls-port": String(port), "tls-auth-clients": "no" });
    return {
      plainUrl: server.url,
      url: `rediss://${server.host}:${port}`,
      show: (other) => show(server, other),
      askForCertificates: () => configure(server, { "tls-auth-clients": "yes" }),
      [Symbol.asyncDispose]: () => server.stop(),
    };
  } catch (error) {
    await server.stop();
    throw error;
  }
}

function show(server: RedisServer, name: CertificateName): Promise<void> {
  const { certFile, keyFile } = certificate(name);
  // Together: a key that does not fit its certificate is refused.
  return configure(server, {
    "tls-ca-cert-file": AUTHORITY_FILE,
    "tls-cert-file": certFile,
    "tls-key-file": keyFile,
  });
}

async function configure(
  server: RedisServer,
  settings: Readonly<Record<string, string>>,
): Promise<void> {
  const redis = new Redis(server.url);
  try {
    await redis.call("CONFIG", "SET", ...Object.entries(settings).flat());
  } finally {
    redis.disconnect();
  }
}
