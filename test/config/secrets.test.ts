import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Config, ConfigError, parseConfig } from "../../src/config/config.ts";
import type { SecretName } from "../../src/config/env/settings.ts";
import { configWith, MINIMAL_ENV, problemsWith, readerOf } from "../support/process/config-env.ts";

type Variables = Readonly<Record<string, string | undefined>>;

interface Place {
  /** The rest of the environment under which this secret is used. */
  readonly context: Variables;
  readonly value: string;
  readonly read: (config: Config) => unknown;
  readonly expected: unknown;
}

const agentServer = { AUTOMATION_AGENT_SERVER_URL: "http://agent" };
const http = { WATCHDOG_BACKEND: "http", WATCHDOG_HTTP_VERIFY_URL: "https://x/{run_id}" };
const parts = { DATABASE_URL: undefined, AUTOMATION_DB_HOST: "db" };

const places: Readonly<Record<SecretName, Place>> = {
  DATABASE_URL: {
    context: {},
    value: "postgres://me:pw@one/app",
    read: (config) => config.database.endpoint.current.host,
    expected: "one",
  },
  AUTOMATION_DB_URL: {
    context: { DATABASE_URL: undefined },
    value: "postgres://me:pw@two/app",
    read: (config) => config.database.endpoint.current.host,
    expected: "two",
  },
  AUTOMATION_DB_PASS: {
    context: parts,
    value: "pass word",
    read: (config) => config.database.endpoint.current.password,
    expected: "pass word",
  },
  REDIS_URL: {
    context: {},
    value: "redis://:pw@three",
    read: (config) => config.redis?.current.host,
    expected: "three",
  },
  AUTOMATION_SERVICE_KEY: {
    context: {},
    value: "s3rvice",
    read: ({ backend }) => backend.kind === "openhands-cloud" && backend.serviceKey.current,
    expected: "s3rvice",
  },
  AUTOMATION_AGENT_SERVER_API_KEY: {
    context: agentServer,
    value: "ag3nt",
    read: ({ backend }) => backend.kind === "agent-server" && backend.apiKey.current,
    expected: "ag3nt",
  },
  WATCHDOG_HTTP_TOKEN: {
    context: http,
    value: "t0ken",
    read: ({ backend }) => backend.kind === "http" && backend.token.current,
    expected: "t0ken",
  },
};

for (const [name, { context, value, read, expected }] of Object.entries(places)) {
  const fromFile = { ...context, [name]: undefined, [`${name}_FILE`]: "/run/secret" };

  describe(name, () => {
    it(`${name} is read from the environment`, () => {
      expect(read(configWith({ ...context, [name]: value }).config)).toBe(expected);
    });

    it(`${name}_FILE is read without the line breaks at its end`, () => {
      const { config, warnings } = configWith(fromFile, { "/run/secret": `${value}\r\n\n` });
      expect(read(config)).toBe(expected);
      expect(warnings).toEqual([]);
    });

    it(`${name} must not be set both ways`, () => {
      const problems = problemsWith({ ...fromFile, [name]: value }, { "/run/secret": value });
      expect(problems).toEqual([
        `${name} must not be set together with ${name}_FILE, unset one of them`,
      ]);
    });

    it(`${name}_FILE of a missing file is named with its path and the error's code`, () => {
      expect(problemsWith(fromFile)).toEqual([
        `${name}_FILE must name a readable file that holds the secret, got "/run/secret" (ENOENT)`,
      ]);
    });

    it(`${name}_FILE of an empty file is refused`, () => {
      expect(problemsWith(fromFile, { "/run/secret": "\n" })).toEqual([
        `${name}_FILE must name a readable file that holds the secret, got "/run/secret" (an empty file)`,
      ]);
    });
  });
}

it("says no more than that a file could not be read when the error has no code", () => {
  const env = {
    ...MINIMAL_ENV,
    AUTOMATION_SERVICE_KEY: undefined,
    AUTOMATION_SERVICE_KEY_FILE: "/s",
  };
  const failing = () => {
    throw new Error("unexpected token s3cret");
  };
  expect(() => parseConfig(env, failing)).toThrow(
    expect.objectContaining({
      problems: [
        'AUTOMATION_SERVICE_KEY_FILE must name a readable file that holds the secret, got "/s" (it could not be read)',
      ],
    }),
  );
});

describe("a secret sent in an HTTP header", () => {
  const headers = [
    "AUTOMATION_SERVICE_KEY",
    "AUTOMATION_AGENT_SERVER_API_KEY",
    "WATCHDOG_HTTP_TOKEN",
  ];
  for (const name of headers as readonly SecretName[]) {
    for (const character of ["\n", "\r", "\0", "\t", "\x7f", "é"]) {
      it(`${name} is refused with ${JSON.stringify(character)} in it`, () => {
        const problems = problemsWith({ ...places[name].context, [name]: `abc${character}` });
        expect(problems).toEqual([
          expect.stringMatching(`^${name} must hold only printable ASCII .* got another character`),
        ]);
      });
    }

    it(`${name} is accepted with the first and the last printable character in it`, () => {
      expect(problemsWith({ ...places[name].context, [name]: "a b~" })).toEqual([]);
    });
  }
});

describe("messages", () => {
  // Nothing else in an environment or a message looks like this.
  const MARKER = "zq7xk9vw";
  const fragment = fc.oneof(
    fc.string({ unit: "binary", maxLength: 12 }),
    fc.constantFrom(
      "://",
      "@",
      ":",
      "/",
      "?",
      "#",
      "%",
      "%zz",
      "\n",
      "[",
      ",",
      "=",
      "&",
      "..",
      " ",
    ),
    fc.constantFrom("postgres://", "redis://", "mysql://", "sslmode=", "db:5432/app", "me:pw@db"),
  );
  const around = fc.array(fragment, { maxLength: 6 }).map((pieces) => pieces.join(""));

  function messagesOf(env: Variables, files: Variables): readonly string[] {
    try {
      return parseConfig(env, readerOf(files)).warnings;
    } catch (error) {
      if (error instanceof ConfigError) return [...error.problems, error.message];
      throw error;
    }
  }

  for (const [name, { context }] of Object.entries(places)) {
    // The name of `name=value` in a query may be told: keep the marker out of that place.
    const notAName = (text: string) => !/[?&][^=]*$/.test(text);

    it(`never quote garbage in ${name}`, () => {
      const garbage = fc.tuple(around.filter(notAName), around);
      fc.assert(
        fc.property(garbage, fc.boolean(), ([before, after], inFile) => {
          const secret = `${before}${MARKER}${after}`;
          const source: Variables = inFile
            ? { [name]: undefined, [`${name}_FILE`]: "/run/secret" }
            : { [name]: secret };
          const env = { ...MINIMAL_ENV, ...context, ...source };
          for (const message of messagesOf(env, { "/run/secret": secret })) {
            expect(message.toLowerCase()).not.toContain(MARKER);
          }
        }),
        { numRuns: 150 },
      );
    });
  }

  const templates = [
    {
      name: "DATABASE_URL",
      url: (pw: string) => `postgres://me:${pw}@db:5432/app?sslmode=prefer&x=1`,
    },
    { name: "DATABASE_URL", url: (pw: string) => `postgresql+asyncpg://me:${pw}@db:99999/app` },
    { name: "DATABASE_URL", url: (pw: string) => `postgres://db/app?user=me&password=${pw}&ssl=x` },
    { name: "DATABASE_URL", url: (pw: string) => `mysql://me:${pw}@db/app` },
    { name: "REDIS_URL", url: (pw: string) => `rediss://:${pw}@redis:6379/x?timeout=1` },
    { name: "REDIS_URL", url: (pw: string) => `redis+sentinel://:${pw}@redis` },
  ];
  const password = fc
    .array(fc.constantFrom(..."abc123:/?#@%&=+[]{}!$'\" \\|<>^`~,;.é"), { maxLength: 8 })
    .map((characters) => characters.join(""));

  for (const { name, url } of templates) {
    it(`never quote a password, encoded or not, in ${url("…")}`, () => {
      fc.assert(
        fc.property(password, password, fc.boolean(), (before, after, encode) => {
          const secret = `${before}${MARKER}${after}`;
          const text = url(encode ? encodeURIComponent(secret) : secret);
          for (const message of messagesOf({ ...MINIMAL_ENV, [name]: text }, {})) {
            expect(message).not.toContain(MARKER);
          }
        }),
        { numRuns: 150 },
      );
    });
  }
});
