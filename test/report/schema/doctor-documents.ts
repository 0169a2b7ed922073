/** What `doctor` and `config` print. */
import { z } from "zod";
import type { ConfigDocument } from "../../../src/report/doctor/config.ts";
import type { DoctorDocument } from "../../../src/report/doctor/doctor.ts";
import { exitCode, schemaOf, version } from "./schema-of.ts";

export const doctorDocument = schemaOf<DoctorDocument>()(
  z.strictObject({
    version,
    status: z.enum(["ok", "warning", "failure"]),
    exitCode,
    checks: z
      .array(
        z.strictObject({
          link: z.string().describe("a fixed name"),
          result: z.enum(["ok", "warning", "failure", "skipped"]),
          found: z.string().describe("for people"),
          remedies: z.array(z.string()).describe("for people: what to do about it"),
        }),
      )
      .min(1)
      .describe("in the order of their dependencies"),
  }),
);

export const configDocument = schemaOf<ConfigDocument>()(
  z.strictObject({
    version,
    status: z.enum(["ok", "problems"]),
    exitCode,
    fingerprint: z.string().nullable().describe("null when there are problems"),
    settings: z.array(
      z.strictObject({
        name: z.string(),
        value: z.string().nullable().describe("null: not set, and there is no default"),
        source: z.enum(["variable", "file", "default"]),
        file: z.string().nullable(),
        used: z.boolean().describe("false when it has no effect with these settings"),
      }),
    ),
    derived: z.array(z.strictObject({ name: z.string(), value: z.string() })),
    problems: z.array(z.string()),
    warnings: z.array(z.string()),
  }),
);
