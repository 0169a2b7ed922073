import { inspect } from "node:util";
import { describe, expect, it } from "vitest";
import { configFingerprint, parseConfig } from "../../src/config/config.ts";
import { EnvReader } from "../../src/config/env/env-reader.ts";
import { EnvSecret } from "../../src/config/env/reloadable-secret.ts";
import { recordedLog } from "../support/memory/recorded-log.ts";
import { MINIMAL_ENV, readerOf } from "../support/process/config-env.ts";

const DATABASE = { DATABASE_URL: undefined, DATABASE_URL_FILE: "/db" };
const REDIS = { REDIS_URL_FILE: "/redis" };
const KEY = { AUTOMATION_SERVICE_KEY: undefined, AUTOMATION_SERVICE_KEY_FILE: "/key" };

type Files = Record<string, string | undefined>;

/** The configuration of this environment, whose files may be changed afterwards. */
function setup(changes: Readonly<Record<string, string | undefined>>, files: Files) {
  const env = { ...MINIMAL_ENV, ...changes };
  const { config } = parseConfig(env, readerOf(files));
  return { config, env, files, ...recordedLog() };
}

function serviceKey({ config, log }: ReturnType<typeof setup>) {
  if (config.backend.kind !== "openhands-cloud") throw new Error("another backend");
  const secret = config.backend.serviceKey;
  return { refresh: () => secret.refresh(log), current: () => secret.current };
}

describe("a secret in a file", () => {
  it("is what was read last until it is read anew", () => {
    const world = setup(KEY, { "/key": "one\n" });
    const key = serviceKey(world);
    world.files["/key"] = "two\r\n";
    expect(key.current()).toBe("one");
    expect(key.refresh()).toBe("two");
    expect(key.current()).toBe("two");
    expect(world.entries).toEqual([]);
  });

  it("moves the database with its whole URL", () => {
    const world = setup(DATABASE, { "/db": "postgres://me:one@first:1/app" });
    world.files["/db"] = "postgres://you:two@second:2/other?sslmode=require";
    const endpoint = world.config.database.endpoint.refresh(world.log);
    const expected = { host: "second", port: 2, database: "other", user: "you", password: "two" };
    expect(endpoint).toEqual({ ...expected, path: null, tls: "require" });
  });

  it("is the password beside the parts of a database's address", () => {
    const parts = { DATABASE_URL: undefined, AUTOMATION_DB_HOST: "db" };
    const world = setup({ ...parts, AUTOMATION_DB_PASS_FILE: "/pass" }, { "/pass": "one" });
    world.files["/pass"] = "two\n";
    expect(world.config.database.endpoint.refresh(world.log)).toMatchObject({
      host: "db",
      password: "two",
    });
  });

  it("moves Redis with its whole URL", () => {
    const world = setup(REDIS, { "/redis": "redis://:one@first/1" });
    world.files["/redis"] = "rediss://you:two@second:2/3";
    expect(world.config.redis?.refresh(world.log)).toEqual({
      host: "second",
      port: 2,
      tls: true,
      user: "you",
      password: "two",
      database: 3,
    });
  });

  it("comes with a root certificate that is read anew as well", () => {
    const url = "postgres://me@db/app?sslmode=verify-full&sslrootcert=/ca";
    const world = setup(DATABASE, { "/db": url, "/ca": "first" });
    world.files["/ca"] = "second";
    expect(world.config.database.endpoint.refresh(world.log)).toMatchObject({
      tls: { verify: "full", ca: "second" },
    });
  });

  const broken = [
    { name: "is missing", text: undefined, says: /^DATABASE_URL_FILE must .*\(ENOENT\)$/ },
    { name: "is empty", text: "\n", says: /^DATABASE_URL_FILE must .*\(an empty file\)$/ },
    { name: "is half-written", text: "postgres://me:hunt", says: /^DATABASE_URL must be a URL/ },
    { name: "holds something else", text: "hunt er2", says: /^DATABASE_URL must be a URL/ },
  ];
  for (const { name, text, says } of broken) {
    it(`keeps its value, with one warning that names the variable, while the file ${name}`, () => {
      const world = setup(DATABASE, { "/db": "postgres://me:hunter1@db/app" });
      const { endpoint } = world.config.database;
      world.files["/db"] = text;
      expect(endpoint.refresh(world.log)).toMatchObject({ host: "db", password: "hunter1" });
      expect(endpoint.refresh(world.log)).toMatchObject({ host: "db", password: "hunter1" });
      expect(endpoint.current).toMatchObject({ host: "db", password: "hunter1" });
      expect(world.entries).toEqual([
        {
          level: "warn",
          fields: { problems: [expect.stringMatching(says)] },
          message: "a secret could not be reloaded, its previous value stays in use",
        },
      ]);
      expect(JSON.stringify(world.entries)).not.toContain("hunt");
    });
  }

  it("keeps its value when it could not be sent in a header", () => {
    const world = setup(KEY, { "/key": "one" });
    world.files["/key"] = "tw\no";
    expect(serviceKey(world).refresh()).toBe("one");
    expect(world.entries).toHaveLength(1);
  });

  it("keeps its value while the root certificate beside it is missing", () => {
    const url = "postgres://me:one@db/app?sslmode=verify-full&sslrootcert=/ca";
    const world = setup(DATABASE, { "/db": url, "/ca": "PEM" });
    world.files["/db"] = url.replace("one", "two");
    world.files["/ca"] = undefined;
    expect(world.config.database.endpoint.refresh(world.log)).toMatchObject({
      password: "one",
      tls: { ca: "PEM" },
    });
  });

  it("is taken up again as soon as it can be read, and complained about anew after that", () => {
    const world = setup(KEY, { "/key": "one" });
    const key = serviceKey(world);
    world.files["/key"] = "";
    key.refresh();
    world.files["/key"] = "two";
    expect(key.refresh()).toBe("two");
    world.files["/key"] = "";
    expect(key.refresh()).toBe("two");
    expect(world.entries).toHaveLength(2);
  });

  it("does not suffer from another one that is broken", () => {
    const world = setup(
      { ...KEY, ...DATABASE },
      { "/key": "one", "/db": "postgres://me:one@db/app" },
    );
    Object.assign(world.files, { "/key": "two", "/db": "" });
    expect(serviceKey(world).refresh()).toBe("two");
    expect(world.entries).toEqual([]);
  });

  it("leaves the fingerprint alone when it changes", () => {
    const world = setup(DATABASE, { "/db": "postgres://me:one@db/app" });
    const before = configFingerprint(world.config);
    world.files["/db"] = "postgres://me:two@db/app";
    world.config.database.endpoint.refresh(world.log);
    expect(configFingerprint(world.config)).toBe(before);
  });
});

describe("a secret in a variable", () => {
  it("is what it was at the start, whatever becomes of the variable", () => {
    const world = setup({ REDIS_URL: "redis://:one@redis" }, {});
    const key = serviceKey(world);
    Object.assign(world.env, {
      AUTOMATION_SERVICE_KEY: "two",
      REDIS_URL: "redis://:two@redis",
      DATABASE_URL: "",
    });
    expect(key.refresh()).toBe("service-key");
    expect(world.config.redis?.refresh(world.log)).toMatchObject({ password: "one" });
    expect(world.config.database.endpoint.refresh(world.log)).toMatchObject({ password: "pw" });
    expect(world.entries).toEqual([]);
  });
});

describe("a secret that is read again", () => {
  const log = recordedLog().log;

  /** Counts how often the secret is made of what the variable or its file holds. */
  function counted(env: Readonly<Record<string, string>>, files: Files) {
    let parsed = 0;
    const reader = new EnvReader(env, readerOf(files));
    const secret = new EnvSecret(reader, (now) => {
      parsed += 1;
      return now.secret("REDIS_URL");
    });
    return { secret, parsed: () => parsed };
  }

  it("is not parsed again when it comes from a variable", () => {
    const { secret, parsed } = counted({ REDIS_URL: "one" }, {});
    expect(secret.refresh(log)).toBe("one");
    expect(parsed()).toBe(1);
  });

  it("is not parsed again while its file holds the same", () => {
    const files: Files = { "/redis": "one" };
    const { secret, parsed } = counted({ REDIS_URL_FILE: "/redis" }, files);
    expect(secret.refresh(log)).toBe("one");
    expect(parsed()).toBe(1);
    files["/redis"] = "two";
    expect(secret.refresh(log)).toBe("two");
    expect(secret.refresh(log)).toBe("two");
    expect(parsed()).toBe(2);
  });

  it("is not complained about any more when its file is as it was before it broke", () => {
    const world = setup(KEY, { "/key": "one" });
    const key = serviceKey(world);
    for (const text of ["", "one", ""]) {
      world.files["/key"] = text;
      expect(key.refresh()).toBe("one");
    }
    expect(world.entries).toHaveLength(2);
  });

  it("is not parsed again when only the file of another one changes", () => {
    const files: Files = { "/redis": "one", "/key": "a" };
    const reader = new EnvReader(
      { REDIS_URL_FILE: "/redis", AUTOMATION_SERVICE_KEY_FILE: "/key" },
      readerOf(files),
    );
    let parsed = 0;
    reader.secret("AUTOMATION_SERVICE_KEY");
    const secret = new EnvSecret(reader, (now) => {
      parsed += 1;
      return now.secret("REDIS_URL");
    });
    files["/key"] = "b";
    secret.refresh(log);
    expect(parsed).toBe(1);
  });
});

describe("a configuration that is printed", () => {
  it("shows no secret", () => {
    const { config } = setup({ REDIS_URL: "redis://:redis-pw@redis" }, {});
    for (const text of [JSON.stringify(config), inspect(config, { depth: 9, showHidden: true })]) {
      expect(text).toContain("https://app.example");
      for (const secret of ["service-key", "redis-pw", "watchdog:pw", '"pw"', "'pw'"]) {
        expect(text).not.toContain(secret);
      }
    }
  });
});
