/** What the server was asked by and how far that went, as far as a remedy depends on it. */
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
  for (const { says, remedy } of ANSWERS) {
    if (says.test(failure.message)) return remedy(circumstances);
  }
  const code = "code" in failure ? String(failure.code) : "";
  return CODES.find(({ is }) => is.test(code))?.remedy ?? unlikeScheme(code, circumstances);
}

type Remedy = (circumstances: Circumstances) => string;

/** No answer of Redis's: what we see when it has agreed to everything and the key is not there. */
export const FORGOTTEN = "the key was gone as soon as it was set";

const ANSWERS: readonly { readonly says: RegExp; readonly remedy: Remedy }[] = [
  {
    says: /^(WRONGPASS|NOAUTH)|invalid password/,
    remedy: () => "check the user and the password in REDIS_URL",
  },
  {
    // Inside a script, each version of Redis has words of its own for it.
    says: /^NOPERM|can't run this command|ACL failure in script/,
    remedy: ({ user, database }) => {
      const select = database === 0 ? "" : " +select";
      return `allow what the lease needs: ACL SETUSER ${user ?? "default"} ${PERMISSIONS}${select}`;
    },
  },
  {
    says: /^DENIED .*protected mode/,
    remedy: () =>
      "give Redis a password and put it into REDIS_URL, or set protected-mode no where only friends reach it",
  },
  {
    says: /^(READONLY|MASTERDOWN)/,
    remedy: () => "REDIS_URL has to lead to the master, also after a failover",
  },
  {
    says: /^(MOVED|ASK|CLUSTERDOWN|CROSSSLOT)/,
    remedy: () => "for a Cluster unset REDIS_URL, the lease is then kept in Postgres",
  },
  {
    says: /max number of clients/,
    remedy: () => "raise maxclients of Redis, or close connections that nobody uses",
  },
  { says: /^OOM/, remedy: () => "raise maxmemory of Redis, or free some" },
  {
    says: new RegExp(`^${FORGOTTEN}$`),
    remedy: () => "set maxmemory-policy noeviction, and let REDIS_URL lead to the master itself",
  },
  {
    says: /DB index/,
    remedy: () => "check the number of the database at the end of REDIS_URL",
  },
];

/** The smallest set that the lease can live with, besides SELECT for a database other than 0. */
const PERMISSIONS = "~watchdog:* +set +get +pttl +pexpire +eval";

const SPEAKS_NO_TLS = "a server without TLS needs redis:// in REDIS_URL";

const CODES: readonly { readonly is: RegExp; readonly remedy: string }[] = [
  {
    is: /^(SELF_SIGNED_CERT_IN_CHAIN|DEPTH_ZERO_SELF_SIGNED_CERT|UNABLE_TO_)/,
    remedy:
      "let NODE_EXTRA_CA_CERTS name a file with the certificate of the authority that signed the server's",
  },
  {
    is: /^ERR_TLS_CERT_ALTNAME_INVALID$/,
    remedy: "REDIS_URL has to use a name that the server's certificate is made out to",
  },
  { is: /^CERT_HAS_EXPIRED$/, remedy: "renew the server's certificate" },
  {
    is: /ALERT_(CERTIFICATE_REQUIRED|HANDSHAKE_FAILURE)$/,
    remedy: "a server that asks its clients for certificates is not supported",
  },
  { is: /^ERR_SSL_(WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG)$/, remedy: SPEAKS_NO_TLS },
  { is: /^ENOTFOUND$/, remedy: "check the host in REDIS_URL" },
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
