/** How the server was addressed and how far that went, as far as a remedy depends on it. */
export interface Circumstances {
  readonly tls: boolean;
  readonly user: string | null;
  /** The number of the logical database. */
  readonly database: number;
  /** Whether the server had answered before it failed. */
  readonly welcome: boolean;
}

/**
 * What somebody has to do about a failure; `null` when nothing is known, or it passes by itself. Redis says in words
 * what is wrong, Node and OpenSSL with codes.
 */
export function remedyFor(failure: unknown, circumstances: Circumstances): string | null {
  if (!(failure instanceof Error)) return null;
  const [, remedy = null] = ANSWERS.find(([says]) => says.test(failure.message)) ?? [];
  if (remedy !== null) return typeof remedy === "string" ? remedy : remedy(circumstances);
  const code = "code" in failure ? String(failure.code) : "";
  const [, known = null] = CODES.find(([is]) => is.test(code)) ?? [];
  return known ?? unlikeScheme(code, circumstances);
}

/** Not an answer of Redis: it accepted everything, and the key is not there. */
export const FORGOTTEN = "the key was gone as soon as it was set";

/** The smallest set that the lease can live with, besides SELECT for a database other than 0. */
const PERMISSIONS = "~watchdog:* +set +get +pttl +pexpire +eval";

function permissions({ user, database }: Circumstances): string {
  const select = database === 0 ? "" : " +select";
  return `allow what the lease needs: ACL SETUSER ${user ?? "default"} ${PERMISSIONS}${select}`;
}

type Remedy = string | ((circumstances: Circumstances) => string);

const ANSWERS: readonly (readonly [says: RegExp, remedy: Remedy])[] = [
  [/^(WRONGPASS|NOAUTH)|invalid password/, "check the user and the password in REDIS_URL"],
  // Inside a script, each version of Redis words it differently.
  [/^NOPERM|can't run this command|ACL failure in script/, permissions],
  [
    /^DENIED .*protected mode/,
    "give Redis a password and put it into REDIS_URL, or set protected-mode no where only trusted clients reach it",
  ],
  [/^(READONLY|MASTERDOWN)/, "REDIS_URL has to lead to the master, also after a failover"],
  [
    /^(MOVED|ASK|CLUSTERDOWN|CROSSSLOT)/,
    "for a Cluster unset REDIS_URL, the lease is then kept in Postgres",
  ],
  [/max number of clients/, "raise maxclients of Redis, or close connections that nobody uses"],
  [/^OOM/, "raise maxmemory of Redis, or free some"],
  [
    new RegExp(`^${FORGOTTEN}$`),
    "set maxmemory-policy noeviction, and let REDIS_URL lead to the master itself",
  ],
  [/DB index/, "check the number of the database at the end of REDIS_URL"],
];

const SPEAKS_NO_TLS = "a server without TLS needs redis:// in REDIS_URL";

const CODES: readonly (readonly [is: RegExp, remedy: string])[] = [
  [
    /^(SELF_SIGNED_CERT_IN_CHAIN|DEPTH_ZERO_SELF_SIGNED_CERT|UNABLE_TO_)/,
    "let NODE_EXTRA_CA_CERTS name a file with the certificate of the authority that signed the server's",
  ],
  [
    /^ERR_TLS_CERT_ALTNAME_INVALID$/,
    "REDIS_URL has to use a name that the server's certificate is made out to",
  ],
  [/^CERT_HAS_EXPIRED$/, "renew the server's certificate"],
  [
    /ALERT_(CERTIFICATE_REQUIRED|HANDSHAKE_FAILURE)$/,
    "a server that asks its clients for certificates is not supported",
  ],
  [/^ERR_SSL_(WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG)$/, SPEAKS_NO_TLS],
  [/^ECONNREFUSED$/, "check that Redis runs there, and host and port in REDIS_URL"],
  [/^(ENOTFOUND|EAI_AGAIN)$/, "check the host in REDIS_URL"],
  [/^(EHOSTUNREACH|ENETUNREACH)$/, "check the network, and host and port in REDIS_URL"],
];

/** With TLS on one side only, either both sides wait for the other one, or the server hangs up. */
function unlikeScheme(code: string, { tls, welcome }: Circumstances): string | null {
  if (welcome) return null;
  if (tls && code === "ETIMEDOUT") return `if it answers others, ${SPEAKS_NO_TLS}`;
  if (!tls && /^(ECONNRESET|EPIPE)$/.test(code)) {
    return "if it answers others, a server with TLS needs rediss:// in REDIS_URL";
  }
  return null;
}
