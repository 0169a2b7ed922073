import { DrizzleQueryError } from "drizzle-orm/errors";
import { describe, expect, it } from "vitest";
import {
  keepsSession,
  RowBusyError,
  StatementRefusedError,
  translate,
} from "../../../../src/io/postgres/connection/errors.ts";
import { StoreSchemaError, StoreUnavailableError } from "../../../../src/watchdog/errors.ts";

const TENANT_TEXT = "tenant text";

const classes = [
  ["55P03", RowBusyError],
  ["40P01", RowBusyError],
  ["40001", RowBusyError],
  ["42P01", StoreSchemaError],
  ["42703", StoreSchemaError],
  ["42501", StoreSchemaError],
  ["3F000", StoreSchemaError],
  ["28000", StoreUnavailableError],
  ["28P01", StoreUnavailableError],
  ["3D000", StoreUnavailableError],
  ["08006", StoreUnavailableError],
  ["08P01", StoreUnavailableError],
  ["25006", StoreUnavailableError],
  ["53100", StoreUnavailableError],
  ["53300", StoreUnavailableError],
  ["57014", StoreUnavailableError],
  ["57P01", StoreUnavailableError],
  ["57P03", StoreUnavailableError],
  ["58030", StoreUnavailableError],
  ["ECONNRESET", StoreUnavailableError],
  ["EPIPE", StoreUnavailableError],
  ["ERR_SSL_WRONG_VERSION_NUMBER", StoreUnavailableError],
  ["DEPTH_ZERO_SELF_SIGNED_CERT", StoreUnavailableError],
  ["CONNECTION_CLOSED", StoreUnavailableError],
  ["23514", StatementRefusedError],
  ["22P02", StatementRefusedError],
  ["P0001", StatementRefusedError],
  ["XX000", StatementRefusedError],
] as const;

describe("translate", () => {
  it.each(classes)("turns %s, under drizzle's wrapping, into %o", (code, expected) => {
    const error = translate("reading", wrapped({ code, message: "postgres says" }));
    expect(error).toBeInstanceOf(expected);
    expect(error.message).toMatch(/^reading/);
    expect(error.message).toContain(code);
    expect(error.message).not.toContain(TENANT_TEXT);
    expect(error.cause).toBeUndefined();
  });

  it("says of a refusal what the server says, on one line, and not the row that it details", () => {
    const error = translate(
      "writing",
      wrapped({
        code: "23514",
        message: 'new row violates\n check\tconstraint "limit"',
        detail: `Failing row contains (${TENANT_TEXT})`,
        hint: TENANT_TEXT,
        constraint_name: "limit",
        column_name: "status",
      }),
    );
    expect(error.message).toBe(
      'writing: SQLSTATE 23514, new row violates check constraint "limit"',
    );
    expect(JSON.stringify(error)).not.toContain(TENANT_TEXT);
  });

  it("cuts what the server says when it is long", () => {
    const error = translate("writing", wrapped({ code: "XX000", message: "x".repeat(301) }));
    expect(error.message).toBe(`writing: SQLSTATE XX000, ${"x".repeat(300)}...`);
  });

  it.each(["22P02", "22003", "22007", "22023"])(
    "does not repeat the value that %s is about",
    (code) => {
      const error = translate(
        "writing",
        wrapped({ code, message: `invalid input: "${TENANT_TEXT}"`, column_name: "status" }),
      );
      expect(error.message).toBe(`writing: SQLSTATE ${code}, column "status"`);
    },
  );

  it.each(["XX000", "42501", "23514", "0A000"])(
    "takes %s for an outage when the server ends the session with it",
    (code) => {
      for (const field of ["severity", "severity_local"]) {
        const fatal = wrapped({ code, message: "no more", [field]: "FATAL" });
        const error = translate("writing", fatal);
        expect(error).toBeInstanceOf(StoreUnavailableError);
        expect(error).toMatchObject({ late: false, message: expect.stringContaining("no more") });
        expect(keepsSession(fatal)).toBe(false);
      }
    },
  );

  it.each(["42501", "42P01", "42703", "3F000"])(
    "takes %s from within a trigger of the host for a refusal of that row",
    (code) => {
      const error = translate(
        "writing",
        wrapped({ code, message: TENANT_TEXT, where: "PL/pgSQL function f() line 1 at PERFORM" }),
      );
      expect(error).toBeInstanceOf(StatementRefusedError);
      expect(error.message).toBe(`writing: SQLSTATE ${code}, in a trigger, function or policy`);
    },
  );

  it("takes a row that a policy does not accept for a refusal of that row", () => {
    const error = translate(
      "writing",
      wrapped({ code: "42501", message: "new row violates", routine: "ExecWithCheckOptions" }),
    );
    expect(error).toBeInstanceOf(StatementRefusedError);
  });

  it.each(["57014", "25006", "53300", "57P01"])(
    "takes %s for a refusal, and not for an outage, when the host's own code raised it",
    (code) => {
      const raised = { code, message: TENANT_TEXT, routine: "exec_stmt_raise" };
      const error = translate("writing", wrapped(raised));
      expect(error).toBeInstanceOf(StatementRefusedError);
      expect(error.message).toBe(`writing: SQLSTATE ${code}`);
    },
  );

  it.each([
    ["57014", true],
    ["57P01", false],
    ["25006", false],
    ["ECONNRESET", false],
  ])("says of %s whether it may be the statement's own trouble", (code, late) => {
    expect(translate("writing", wrapped({ code, message: "" }))).toMatchObject({ late });
  });

  it.each(["ERR_INVALID_ARG_TYPE", "UNDEFINED_VALUE", "MAX_PARAMETERS_EXCEEDED"])(
    "passes a mistake of ours on as it is, without drizzle's message: %s",
    (code) => {
      const mistake = Object.assign(new TypeError("the argument is wrong"), { code });
      const thrown = new DrizzleQueryError("SELECT $1", [TENANT_TEXT], mistake);
      expect(translate("reading", thrown)).toBe(mistake);
    },
  );

  it("passes on what has no code, without drizzle's message", () => {
    const mistake = new TypeError("x is not a function");
    expect(translate("reading", mistake)).toBe(mistake);
    expect(translate("reading", new DrizzleQueryError("SELECT 1", [TENANT_TEXT], mistake))).toBe(
      mistake,
    );
    expect(translate("reading", "words").message).toBe("reading failed");
  });
});

describe("keepsSession", () => {
  it.each([
    ["23514", true],
    ["57014", true],
    ["57P01", false],
    ["08P01", false],
    ["25006", false],
    ["ECONNRESET", false],
    ["EPIPE", false],
    ["CONNECTION_CLOSED", false],
  ])("tells whether Postgres goes on with the session after %s", (code, expected) => {
    expect(keepsSession(wrapped({ code, message: "" }))).toBe(expected);
  });

  it("takes an error without a code for none", () => {
    expect(keepsSession(new StoreUnavailableError("late"))).toBe(false);
  });
});

function wrapped(fields: Readonly<Record<string, string>>): Error {
  const cause = Object.assign(new Error(fields["message"]), fields);
  return new DrizzleQueryError("UPDATE automation_runs", [TENANT_TEXT], cause);
}
