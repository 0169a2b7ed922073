import { type Redis, ReplyError } from "ioredis";

export interface Credentials {
  readonly user: string | null;
  readonly password: string | null;
  /** The number of the logical database. */
  readonly database: number;
}

const NAME = "run-watchdog";

/**
 * Logs in on a new connection. Rejects with the server's answer when it does not let us in.
 *
 * One step after the other: a server that lets nobody in says so in its first answer and closes the connection, and a
 * second command on the way would turn that answer into a broken pipe. ioredis by itself sends all of them at once.
 *
 * @returns whether there was anything to do, and so an answer.
 */
export async function logIn(
  client: Redis,
  { user, password, database }: Credentials,
): Promise<boolean> {
  if (user !== null) await client.auth(user, password ?? "");
  else if (password !== null) await client.auth(password).catch(unlessOpenToEverybody);
  if (database !== 0) await client.select(database);
  return user !== null || password !== null || database !== 0;
}

/**
 * For people who look at CLIENT LIST. Resolves also when the server rejects it: not every user may set a name, and not
 * every proxy knows the command. Some proxies close the connection on it.
 */
export async function nameConnection(client: Redis): Promise<void> {
  await client.client("SETNAME", NAME).catch(unlessLetIn);
}

/** A password for a server that asks for none does no harm. */
function unlessOpenToEverybody(error: Error): void {
  if (!/^ERR .*(without any password configured|no password is set)/.test(error.message)) {
    throw error;
  }
}

/** What a server says before it hangs up on everybody is its answer to whatever comes first. */
function unlessLetIn(error: Error): void {
  if (!(error instanceof ReplyError)) throw error;
  if (/^DENIED|max number of clients/.test(error.message)) throw error;
}
