/**
 * What somebody has to do so that runs get an answer again, or can be handled; `null` when nothing is known, or it passes by itself.
 *
 * @param cause as `causeOf` words it, or as a failing run's is noted.
 */
export function remedyFor(cause: string): string | null {
  const [, failing = null] = [...FAILURES, ...NOT_ASKED].find(([says]) => says.test(cause)) ?? [];
  if (failing !== null) return failing;
  const [, source = "", what = ""] = /^(\S+) \S+: (.*)$/.exec(cause) ?? [];
  const [, , remedy = null] =
    REMEDIES.find(([of, says]) => of.test(source) && says.test(what)) ?? [];
  return remedy;
}

/** For a host whose own watchdog ends runs that wait here for their next look. */
export const LET_IT_LOOK_SELDOM =
  "let it look seldom: AUTOMATION_WATCHDOG_INTERVAL_SECONDS=3600 for the host";

/** Why runs cannot be handled: what Postgres refuses, or does not do. */
const FAILURES: readonly (readonly [says: RegExp, remedy: string])[] = [
  [
    /raised by a trigger|in a trigger, function or policy|trigger or row security/,
    "check the triggers and policies of automation_runs",
  ],
  [/SQLSTATE/, "check the constraints of automation_runs"],
];

const LIMITS = "it limits calls: lower WATCHDOG_API_CONCURRENCY or raise its limit";

/** Why nobody was asked: what calls before came to. */
const NOT_ASKED: typeof FAILURES = [
  [/^not asked: \S+ asked for a pause/, LIMITS],
  [/^not asked: \S+ keeps /, "see why its calls failed before: it is asked again within a minute"],
];

type Remedy = readonly [source: RegExp, what: RegExp, remedy: string];

const UNAUTHORIZED = /^HTTP (401|403)$/;
const NO_SUCH_API = /^HTTP (3\d\d|404|405|410)$|not JSON|unexpected shape|unknown sandbox status/;
const CONNECTING =
  /^transport error: (ECONN|ENOTFOUND|EAI_|EHOST|ENET|EPIPE|UND_ERR_SOCKET)|no connection$/;
/** OpenSSL's and Node's codes: `CERT_HAS_EXPIRED`, `UNABLE_TO_VERIFY_LEAF_SIGNATURE`, `ERR_TLS_CERT_ALTNAME_INVALID`. */
const UNTRUSTED = /^transport error: \w*(SELF_SIGNED|UNABLE_TO_|ISSUER|UNTRUSTED)/;
const WRONG_CERTIFICATE = /^transport error: \w*(CERT|ALTNAME|CRL)/;
const TLS = /^transport error: (ERR_SSL|ERR_TLS|EPROTO)/;

const BASE_URL = "check AUTOMATION_OPENHANDS_API_BASE_URL";
const AGENT_SERVER = "check AUTOMATION_AGENT_SERVER_URL, or in the cloud that agent servers run";
const VERIFY_URL = "check WATCHDOG_HTTP_VERIFY_URL";

const API = /^(service_api|sandbox_api)$/;
const AGENT = /^agent_server$/;
const OWN = /^verify_endpoint$/;
const ANY = /^/;

/** The first that fits. */
const REMEDIES: readonly Remedy[] = [
  [/^service_api$/, UNAUTHORIZED, "check AUTOMATION_SERVICE_KEY"],
  [/^service_api$/, /usable key/, BASE_URL],
  [/^service_api$/, /no user id/, "give these automations a user and an organization"],
  [
    /^sandbox_api$/,
    UNAUTHORIZED,
    "the API refuses the users' keys that it handed out: check its authentication and AUTOMATION_OPENHANDS_API_BASE_URL",
  ],
  [
    AGENT,
    UNAUTHORIZED,
    "check AUTOMATION_AGENT_SERVER_API_KEY, or in the cloud the session keys of the sandboxes",
  ],
  [OWN, UNAUTHORIZED, "check WATCHDOG_HTTP_TOKEN"],
  [AGENT, /agent server url is not allowed/, "check WATCHDOG_AGENT_HOSTS"],
  [
    AGENT,
    /the address is not allowed/,
    "the API names agent servers on this host, its link or a metadata service, which are never asked: check what it hands out",
  ],
  [OWN, /cannot be put into the url/, "check the placeholders in WATCHDOG_HTTP_VERIFY_URL"],
  [ANY, UNTRUSTED, "trust its authority: NODE_EXTRA_CA_CERTS"],
  [ANY, WRONG_CERTIFICATE, "renew the server's certificate, for the name it is called by"],
  [ANY, TLS, "check whether the server speaks TLS at this address, and http or https in its URL"],
  [API, NO_SUCH_API, BASE_URL],
  [AGENT, NO_SUCH_API, AGENT_SERVER],
  [OWN, NO_SUCH_API, VERIFY_URL],
  [API, CONNECTING, `${BASE_URL} and the network`],
  [AGENT, CONNECTING, AGENT_SERVER],
  [OWN, CONNECTING, `${VERIFY_URL} and the network`],
  [ANY, /^timed out/, "check how long it takes to answer, and WATCHDOG_VERIFY_TIMEOUT"],
  [ANY, /^HTTP 408$|^HTTP 504$/, "it does not answer in time: check its load"],
  [ANY, /^HTTP 429$|less often/, LIMITS],
  [ANY, /^HTTP 5\d\d$|^failed$/, "look into its own log"],
];
