import { describe, expect, it } from "vitest";
import { configWith, problemsWith } from "../support/process/config-env.ts";

describe("the choice of the database", () => {
  const parts = { AUTOMATION_DB_HOST: "parts.example" };
  const url = { AUTOMATION_DB_URL: "postgresql+asyncpg://me:pw@url.example/app" };

  it("prefers DATABASE_URL to everything else", () => {
    expect(configWith({ ...url, ...parts }).config.database.endpoint.current.host).toBe(
      "db.example",
    );
  });

  it("takes AUTOMATION_DB_URL before the parts", () => {
    const { config } = configWith({ DATABASE_URL: undefined, ...url, ...parts });
    expect(config.database.endpoint.current.host).toBe("url.example");
  });

  it("names AUTOMATION_DB_URL when that is the wrong one", () => {
    const wrong = { DATABASE_URL: undefined, AUTOMATION_DB_URL: "sqlite:///x", ...parts };
    expect(problemsWith(wrong)).toEqual([
      "AUTOMATION_DB_URL must be a postgres:// or postgresql:// URL, got a sqlite URL (the watchdog works on PostgreSQL only)",
    ]);
  });

  it("does not go on to the next source when the first one cannot be read", () => {
    const wrong = { DATABASE_URL: undefined, DATABASE_URL_FILE: "/gone", ...url };
    expect(problemsWith(wrong)).toEqual([
      'DATABASE_URL_FILE must name a readable file that holds the secret, got "/gone" (ENOENT)',
    ]);
  });

  it("names every way to set it when there is none", () => {
    const [problem] = problemsWith({ DATABASE_URL: undefined, AUTOMATION_DB_NAME: "app" });
    expect(problem).toBe(
      "DATABASE_URL must be set (or AUTOMATION_DB_URL, or AUTOMATION_DB_HOST and its companions), got none of them",
    );
  });
});

describe("AUTOMATION_DB_HOST and its companions", () => {
  const onlyHost = { DATABASE_URL: undefined, AUTOMATION_DB_HOST: "db" };

  it("have the host service's defaults", () => {
    expect(configWith(onlyHost).config.database.endpoint.current).toMatchObject({
      host: "db",
      port: 5432,
      path: null,
      database: "automations",
      user: "postgres",
      password: "postgres",
      tls: "prefer",
    });
  });

  it("are taken as they stand", () => {
    const { config } = configWith({
      ...onlyHost,
      AUTOMATION_DB_PORT: "6432",
      AUTOMATION_DB_NAME: "app",
      AUTOMATION_DB_USER: "me@org",
      AUTOMATION_DB_PASS: " p%20/#w ",
    });
    expect(config.database.endpoint.current).toMatchObject({
      port: 6432,
      database: "app",
      user: "me@org",
      password: " p%20/#w ",
    });
  });

  it("may name the directory of a Unix socket", () => {
    const { config } = configWith({
      ...onlyHost,
      AUTOMATION_DB_HOST: "/run/pg",
      PGSSLMODE: "require",
    });
    expect(config.database.endpoint.current).toMatchObject({
      path: "/run/pg/.s.PGSQL.5432",
      tls: "off",
    });
  });

  for (const host of ["db:5432", "postgres://me:pw@db/app", "a,b", "a b"]) {
    it(`refuse the host ${host} without quoting it`, () => {
      const [problem, ...others] = problemsWith({ ...onlyHost, AUTOMATION_DB_HOST: host });
      expect(problem).toMatch(/^AUTOMATION_DB_HOST must be one host name or address/);
      expect(problem).not.toContain(host);
      expect(others).toEqual([]);
    });
  }

  for (const port of ["0", "65536"]) {
    it(`refuse the port ${port}`, () => {
      expect(problemsWith({ ...onlyHost, AUTOMATION_DB_PORT: port })).toEqual([
        `AUTOMATION_DB_PORT must be a whole number from 1 to 65535, got "${port}"`,
      ]);
    });
  }

  it("ignore a port that Kubernetes made of a service called automation-db", () => {
    const { config, warnings } = configWith({
      ...onlyHost,
      AUTOMATION_DB_PORT: "tcp://10.0.0.9:5432",
    });
    expect(config.database.endpoint.current.port).toBe(5432);
    expect(warnings).toHaveLength(1);
  });

  const modes = [
    {
      name: "go by their own SSL mode first",
      own: "disable",
      db: "require",
      pg: "prefer",
      tls: "off",
    },
    { name: "fall back to DB_SSL_MODE", own: "", db: "require", pg: "disable", tls: "require" },
    { name: "fall back to PGSSLMODE", own: "", db: "", pg: "disable", tls: "off" },
    { name: "take no SSL mode for prefer", own: "", db: "", pg: "", tls: "prefer" },
  ];
  for (const { name, own, db, pg, tls: expected } of modes) {
    it(name, () => {
      const modesSet = { AUTOMATION_DB_SSL_MODE: own, DB_SSL_MODE: db, PGSSLMODE: pg };
      expect(configWith({ ...onlyHost, ...modesSet }).config.database.endpoint.current.tls).toBe(
        expected,
      );
    });
  }

  for (const name of ["AUTOMATION_DB_SSL_MODE", "DB_SSL_MODE", "PGSSLMODE"]) {
    it(`name ${name} when it holds an unknown mode`, () => {
      expect(problemsWith({ ...onlyHost, [name]: "maybe" })).toEqual([
        `${name} must be disable, allow, prefer, require, verify-ca or verify-full, got "maybe"`,
      ]);
    });
  }
});
