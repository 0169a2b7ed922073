import type { Redis } from "ioredis";

export interface Credentials {
  readonly user: string | null;
  readonly password: string | null;
  /** The number of the logical database. */
  readonly database: number;
}

const NAME = "run-watchdog";

/**
 * Makes a fresh connection fit for use. Rejects with the server's answer when it does not want us.
 *
 * One step after the other: a server without room for another client says so in its first answer and hangs up, and a
 * command behind the first one would make a broken pipe of it. ioredis, left to itself, sends all of them at once.
 */
export async function logIn(client: Redis, { user, password, database }: Credentials) {
  if (user !== null) await client.auth(user, password ?? "");
  else if (password !== null) await client.auth(password).catch(unlessOpenToEverybody);
  if (database !== 0) await client.select(database);
  await client.client("SETNAME", NAME).catch(unlessFull);
}

/** A password for a server that asks for none does no harm. */
function unlessOpenToEverybody(error: Error): void {
  if (!/without any password configured|no password is set/.test(error.message)) throw error;
}

/** The name is for people who look at CLIENT LIST: not every user may set one, and not every proxy knows how. */
function unlessFull(error: Error): void {
  if (/max number of clients/.test(error.message)) throw error;
}
