/** What is asked of other people's servers, with which secret, and for how long. */

/** Who is asked, and what: both appear in every message. */
export interface CallName {
  readonly source: "service_api" | "sandbox_api" | "agent_server" | "verify_endpoint" | "backend";
  readonly operation: string;
}

export interface HttpCall extends CallName {
  readonly method: "GET" | "POST" | "DELETE";
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  /** Sent as JSON. */
  readonly body?: unknown;
  /** `nothing`: the status is the answer. `json-or-404`: what a 404 says matters, too. */
  readonly expects: "json" | "json-or-404" | "nothing";
  /** Forbids addresses of this host, this link and metadata services. */
  readonly guarded: boolean;
}

/**
 * The time a verification may spend in calls. Only time inside calls counts, so that waiting for a slot, which other
 * runs cause, does not turn into a timeout of this one.
 */
export class CallBudget {
  readonly totalMs: number;
  #leftMs: number;

  constructor(totalMs: number) {
    this.totalMs = totalMs;
    this.#leftMs = totalMs;
  }

  get leftMs(): number {
    return this.#leftMs;
  }

  spend(ms: number): void {
    this.#leftMs = Math.max(0, this.#leftMs - ms);
  }
}

/** A secret that somebody may replace while the worker runs. */
export interface Secret<T extends string | null> {
  /** As last read. */
  readonly current: T;
  /** Reads it again. Never throws: what cannot be read stays as it was. */
  refresh(): T;
}

/**
 * Sends something with the secret, and once more if it is rejected and the secret has been replaced since. Not before it
 * is rejected: a new secret may be there before the other side knows it.
 */
export async function withSecret<T extends string | null, A>(
  secret: Secret<T>,
  send: (value: T) => Promise<A>,
  isUnauthorized: (answer: A) => boolean,
): Promise<A> {
  const sent = secret.current;
  const answer = await send(sent);
  if (!isUnauthorized(answer)) return answer;
  const replaced = secret.refresh();
  return replaced === sent ? answer : await send(replaced);
}

/** Whether a secret from outside can travel in a header as it is. */
export function isHeaderToken(text: string): boolean {
  return /^[\x21-\x7e]+$/.test(text);
}

/** A name that comes several times has several values. */
export type Query = Readonly<Record<string, string | readonly string[]>>;

/**
 * A URL below `base`: its path is kept as a prefix, its query and fragment are dropped.
 *
 * @param path begins with a slash, and what it has from outside is percent-encoded.
 */
export function urlBelow(base: URL, path: string, query: Query = {}): URL {
  const pairs = Object.entries(query).flatMap(([name, values]) =>
    [values].flat().map((value): [string, string] => [name, value]),
  );
  const search = new URLSearchParams(pairs).toString();
  const below = `${base.origin}${base.pathname.replace(/\/+$/, "")}${path}`;
  return new URL(search === "" ? below : `${below}?${search}`);
}

/** `null` for what cannot be one segment of a path: a URL drops `.` and `..`, which would name another resource. */
export function pathSegment(id: string): string | null {
  return id === "" || id === "." || id === ".." ? null : percentEncode(id);
}

/** Lone surrogates cannot be encoded; they become U+FFFD, which names nothing. */
export function percentEncode(id: string): string {
  return encodeURIComponent(id.toWellFormed());
}
