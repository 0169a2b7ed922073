import type { LocalProgram } from "./local-program.ts";
import type { RedisProgram } from "./redis/program.ts";

/** What the set-up of the test run hands to every test file. */
declare module "vitest" {
  interface ProvidedContext {
    /** A PostgreSQL whose user may create databases. */
    readonly postgresUrl: string;
    /** On that server: what `createDatabase` copies. */
    readonly templateDatabase: string;
    readonly redisUrl: string;
    /** The built program, to be run with Node. */
    readonly program: string;
    /** For servers of a test's own; `null` when this machine has no redis-server. */
    readonly redisProgram: RedisProgram | null;
    /** For poolers of a test's own; `null` when this machine has no pgbouncer. */
    readonly pgbouncerProgram: LocalProgram | null;
    /** Stands in front of `postgresUrl`, where tests are run by way of a pooler. */
    readonly poolerAddress?: { readonly host: string; readonly port: number };
  }
}
