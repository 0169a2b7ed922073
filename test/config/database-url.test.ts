import { describe, expect, it } from "vitest";
import type { PostgresEndpoint } from "../../src/rules/network/endpoints.ts";
import { configWith, problemsWith } from "../support/process/config-env.ts";

interface Good {
  readonly name: string;
  readonly url: string;
  readonly expected: Partial<PostgresEndpoint>;
}

const good: readonly Good[] = [
  {
    name: "takes a URL with everything in it",
    url: "postgresql://me:secret@db.example:6432/app?sslmode=require",
    expected: {
      host: "db.example",
      port: 6432,
      path: null,
      database: "app",
      user: "me",
      password: "secret",
      tls: "require",
    },
  },
  ...["postgres", "postgresql+asyncpg", "postgresql+pg8000", "postgresql+psycopg2"]
    .concat(["postgresql+psycopg", "postgres+psycopg_async", "POSTGRESQL+asyncpg"])
    .map((scheme) => ({
      name: `takes the scheme ${scheme}`,
      url: `${scheme}://me:pw@db/app`,
      expected: { host: "db", database: "app", user: "me", password: "pw" },
    })),
  {
    name: "decodes user, password and database",
    url: "postgres://m%40e:p%2Fw%23%3F%25+%C3%A9@db/my%20app",
    expected: { user: "m@e", password: "p/w#?%+é", database: "my app" },
  },
  {
    name: "takes a line separator, which is no control character",
    url: "postgres://me:p\u2028w@db/app",
    expected: { password: "p\u2028w" },
  },
  {
    name: "takes an unencoded @ and colon in the password",
    url: "postgres://me:p@w:d@db/app",
    expected: { user: "me", password: "p@w:d", host: "db" },
  },
  {
    name: "takes a missing password for none",
    url: "postgres://me@db/app",
    expected: { user: "me", password: null },
  },
  {
    name: "takes an IPv6 address out of its brackets",
    url: "postgres://me@[::1]:5433/app",
    expected: { host: "::1", port: 5433 },
  },
  {
    name: "finds the Unix socket in host=",
    url: "postgres:///app?host=/var/run/postgresql&user=me",
    expected: {
      host: "/var/run/postgresql",
      path: "/var/run/postgresql/.s.PGSQL.5432",
      user: "me",
    },
  },
  {
    name: "finds the Unix socket of a URL with a password and no host",
    url: "postgresql://me:pw@/app?host=/cloudsql/project:region:db/",
    expected: { path: "/cloudsql/project:region:db/.s.PGSQL.5432", user: "me", password: "pw" },
  },
  {
    name: "finds the Unix socket in an encoded host",
    url: "postgres://me@%2Fvar%2Frun:5433/app",
    expected: { path: "/var/run/.s.PGSQL.5433" },
  },
  {
    name: "takes pg8000's unix_sock for the socket itself",
    url: "postgresql+pg8000://me:pw@/app?unix_sock=/cloudsql/db/.s.PGSQL.5432",
    expected: { path: "/cloudsql/db/.s.PGSQL.5432" },
  },
  {
    name: "uses no TLS on a Unix socket",
    url: "postgres:///app?host=/run&user=me&sslmode=verify-full",
    expected: { tls: "off" },
  },
  {
    name: "lets parameters go before the rest of the URL, as libpq does",
    url: "postgres://me:pw@db:1/app?host=db2&port=5433&user=you&password=p%2Bq+r&dbname=other",
    expected: { host: "db2", port: 5433, user: "you", password: "p+q+r", database: "other" },
  },
  { name: "accepts port 1", url: "postgres://me@db:1/app", expected: { port: 1 } },
  { name: "accepts port 65535", url: "postgres://me@db:65535/app", expected: { port: 65_535 } },
  {
    name: "ignores blanks around the URL",
    url: "  postgres://me@db/app\n",
    expected: { host: "db", database: "app" },
  },
];

const ssl: readonly (readonly [string, PostgresEndpoint["tls"]])[] = [
  ["", "prefer"],
  ["?sslmode=", "prefer"],
  ["?sslmode=disable", "off"],
  ["?sslmode=allow", "prefer"],
  ["?sslmode=prefer", "prefer"],
  ["?sslmode=require", "require"],
  ["?sslmode=REQUIRE", "require"],
  ["?sslmode=verify-ca", { verify: "ca", ca: null }],
  ["?sslmode=verify-full", { verify: "full", ca: null }],
  ["?sslmode=verify-full&sslrootcert=system", { verify: "full", ca: null }],
  ["?sslmode=verify-full&sslrootcert=/ca/a%20b.crt", { verify: "full", ca: "PEM of a b\n" }],
  ["?sslmode=verify-ca&sslrootcert=/ca.crt", { verify: "ca", ca: "PEM\n" }],
  ["?sslmode=require&sslrootcert=/ca.crt", { verify: "ca", ca: "PEM\n" }],
  ["?ssl=require", "require"],
  ["?ssl=no-verify", "require"],
  ["?ssl=disable", "off"],
  ["?ssl=false", "off"],
  ["?ssl=0", "off"],
  ["?ssl=true", { verify: "full", ca: null }],
  ["?ssl=1", { verify: "full", ca: null }],
];

const certificates = { "/ca.crt": "PEM\n", "/ca/a b.crt": "PEM of a b\n" };

describe("DATABASE_URL", () => {
  for (const { name, url, expected } of good) {
    it(name, () => {
      const { config, warnings } = configWith({ DATABASE_URL: url });
      expect(config.database.endpoint.current).toMatchObject(expected);
      expect(warnings).toEqual([]);
    });
  }

  for (const [query, expected] of ssl) {
    it(`reads TLS from "${query}"`, () => {
      const { config, warnings } = configWith(
        { DATABASE_URL: `postgres://me@db/app${query}` },
        certificates,
      );
      expect(config.database.endpoint.current.tls).toEqual(expected);
      expect(warnings).toEqual([]);
    });
  }

  it("drops the parameters of other drivers with one warning each", () => {
    const query =
      "pgbouncer=true&connection_limit=5&options=-c%20lock_timeout%3Dsecretive&schema=&prepared_statement_cache_size=0&application_name=secretive&application_name=again";
    const { config, warnings } = configWith({ DATABASE_URL: `postgres://me@db/app?${query}` });
    expect(config.database.endpoint.current).toMatchObject({ host: "db", database: "app" });
    const names = ["pgbouncer", "connection_limit", "options", null]
      .concat(["prepared_statement_cache_size", "application_name"])
      .map((name) => (name === null ? "a parameter without a value" : `the parameter "${name}"`));
    expect(warnings).toEqual(
      names.map(
        (name) => `DATABASE_URL has ${name}, which is meant for another driver, it is ignored`,
      ),
    );
  });

  const schemaChoices = [
    "options=-c%20search_path%3Dsecretive",
    "options=-c+search_path=secretive",
    "options=-csearch_path%3Dsecretive",
    "options=--search_path%3Dsecretive",
    "options=--search-path=secretive",
    "options=-c%20lock_timeout%3D1%20-c%20SEARCH_PATH%3Dsecretive",
    "options=-c%20lock_timeout%3D1&options=-c%20search_path%3Dsecretive",
    "%6Fptions=-c%20search%5Fpath%3Dsecretive",
    "schema=secretive",
    "schema=public",
    "Schema=secretive",
    "search_path=secretive",
    "Search%20Path=secretive",
    "schema_search_path=secretive",
    "currentSchema=secretive",
    "current_schema=secretive",
    "sslmode=disable&currentSchema=secretive&currentSchema=other",
  ];
  it.each(schemaChoices)("refuses %s, which decides which runs are judged", (query) => {
    for (const name of ["DATABASE_URL", "AUTOMATION_DB_URL"]) {
      const env = { DATABASE_URL: undefined, [name]: `postgres://me:pw@db/app?${query}` };
      const [problem, ...others] = problemsWith(env);
      expect(problem).toMatch(
        new RegExp(`^${name} must not choose a schema, .*ALTER ROLE \\.\\.\\. SET search_path`),
      );
      expect(problem).not.toContain("secretive");
      expect(others).toEqual([]);
    }
  });

  it("does not name a parameter without a value, which may be a piece of a password", () => {
    const url = "postgres://db/app?user=me&password=secret&part";
    expect(configWith({ DATABASE_URL: url }).warnings).toEqual([
      "DATABASE_URL has a parameter without a value, which is meant for another driver, it is ignored",
    ]);
  });

  const verified = "postgres://me@db/app?sslmode=verify-full&sslrootcert=/ca.crt";

  it("names a root certificate that cannot be read", () => {
    expect(problemsWith({ DATABASE_URL: verified })).toEqual([
      `DATABASE_URL's sslrootcert must name a readable file, got "/ca.crt" (ENOENT)`,
    ]);
  });

  it("names a root certificate that is empty", () => {
    expect(problemsWith({ DATABASE_URL: verified }, { "/ca.crt": "\n" })).toEqual([
      `DATABASE_URL's sslrootcert must name a readable file, got "/ca.crt" (an empty file)`,
    ]);
  });

  it("warns when sslrootcert does not make the connection verified", () => {
    const url = "postgres://me@db/app?sslmode=prefer&sslrootcert=/ca.crt";
    expect(configWith({ DATABASE_URL: url }).warnings).toEqual([
      "DATABASE_URL has sslrootcert but does not verify, add sslmode=verify-full to use it",
    ]);
  });

  it("goes by sslmode, with a warning, when there is ssl as well", () => {
    const url = "postgres://me@db/app?sslmode=require&ssl=false";
    const { config, warnings } = configWith({ DATABASE_URL: url });
    expect(config.database.endpoint.current.tls).toBe("require");
    expect(warnings).toEqual(["DATABASE_URL has both sslmode and ssl, ssl is ignored"]);
  });

  const refused = [
    { name: "a host without a scheme", url: "db:5432/app", says: 'got a value without "://"' },
    { name: "SQLite", url: "sqlite+aiosqlite:////data/app.db", says: "got a sqlite URL" },
    { name: "MySQL", url: "mysql://me:pw@db/app", says: "got a mysql URL" },
    { name: "an unknown scheme", url: "hunter2://me:pw@db/app", says: "got a URL of another kind" },
    { name: "port 0", url: "postgres://me@db:0/app", says: "a port from 1 to 65535" },
    { name: "port 65536", url: "postgres://me@db:65536/app", says: "a port from 1 to 65535" },
    { name: "a port in words", url: "postgres://me@db:five/app", says: "a port from 1 to 65535" },
    {
      name: "port=0",
      url: "postgres://me@db/app?port=0",
      says: "must have a port from 1 to 65535",
    },
    { name: "port=65536", url: "postgres://me@db/app?port=65536", says: "must have a port from 1" },
    { name: "several hosts", url: "postgres://me@db1,db2/app", says: "must name one host" },
    { name: "several hosts with ports", url: "postgres://me@a:1,b:2/app", says: "with one host" },
    { name: "a blank host", url: "postgres://me@%20/app", says: "must name a host" },
    { name: "no host", url: "postgres:///app", says: "must name a host, got none" },
    { name: "no user", url: "postgres://db/app", says: "must name a user" },
    { name: "no database", url: "postgres://me@db", says: "must name a database" },
    { name: "an empty database", url: "postgres://me@db/", says: "must name a database" },
    { name: "a longer path", url: "postgres://me@db/app/more", says: "got a path with slashes" },
    { name: "a slash in the password", url: "postgres://me:p/w@db/app", says: "/ as %2F" },
    { name: "a hash in the password", url: "postgres://me:p#w@db/app", says: "# as %23" },
    { name: "a hash in password=", url: "postgres://me@db/app?password=p#w", says: "# as %23" },
    { name: "a question mark in the password", url: "postgres://me:1?w@db/app", says: "? as %3F" },
    { name: "a lone percent sign", url: "postgres://me:p%w@db/app", says: "written %25" },
    { name: "bytes that are no UTF-8", url: "postgres://me:%FF@db/app", says: "percent-encoding" },
    { name: "an encoded NUL", url: "postgres://me:p%00w@db/app", says: "NUL" },
    { name: "a line break inside", url: "postgres://me:p\nw@db/app", says: "line breaks" },
    { name: "an unknown sslmode", url: "postgres://me@db/app?sslmode=maybe", says: "verify-full" },
  ];
  for (const { name, url, says } of refused) {
    it(`refuses ${name}`, () => {
      const [problem, ...others] = problemsWith({ DATABASE_URL: url });
      expect(problem).toMatch(/^DATABASE_URL must /);
      expect(problem).toContain(says);
      expect(others).toEqual([]);
    });
  }
});
