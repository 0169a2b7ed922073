import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { withFirstRun } from "../../../src/rules/cleanup/first-run.ts";

const AT = "2026-08-22T10:00:00.123456+00:00";

describe("withFirstRun", () => {
  const records = [
    {
      name: "records a success without a stage",
      outcome: "COMPLETED",
      status: "success",
      stage: null,
    },
    {
      name: "records a failure with its stage",
      outcome: "FAILED",
      status: "failure",
      stage: "watchdog",
    },
  ];
  for (const { name, outcome, status, stage } of records) {
    it(name, () => {
      const metadata = '{"template": {"id": "t", "version": 3}, "other": [1]}';
      expect(JSON.parse(withFirstRun(metadata, outcome, AT) ?? "")).toEqual({
        template: { id: "t", version: 3 },
        other: [1],
        first_run: { status, failure_stage: stage, template_version: 3, recorded_at: AT },
      });
    });
  }

  const versions = [
    { name: "records no version when the template has none", template: "{}" },
    { name: "records no version when the template is a text", template: '"t"' },
    { name: "records no version when the template is null", template: "null" },
  ];
  for (const { name, template } of versions) {
    it(name, () => {
      const text = withFirstRun(`{"template":${template}}`, "FAILED", AT) ?? "";
      expect(JSON.parse(text).first_run.template_version).toBeNull();
    });
  }

  const nothing = [
    { name: "records nothing twice", metadata: '{"template":{},"first_run":{}}' },
    {
      name: "records nothing over a null that is there",
      metadata: '{"template":{},"first_run":null}',
    },
    { name: "records nothing without a template", metadata: '{"other":{"template":1}}' },
    { name: "records nothing on an empty object", metadata: "{}" },
    { name: "records nothing on a list", metadata: '["template"]' },
    { name: "records nothing on null", metadata: "null" },
    { name: "records nothing on a text", metadata: '"template"' },
    { name: "records nothing on what is not json", metadata: '{"template":' },
  ];
  for (const { name, metadata } of nothing) {
    it(name, () => {
      expect(withFirstRun(metadata, "FAILED", AT)).toBeNull();
    });
  }

  it("leaves what was there as it was, to the letter", () => {
    const metadata = '{ "template" : {"version": 12345678901234567890, "n": "\\u0000 }"} } \n';
    const text = withFirstRun(metadata, "FAILED", AT) ?? "";
    expect(text).toMatch(
      /^\{ "template" : \{"version": 12345678901234567890, "n": "\\u0000 \}"\} , "first_run": \{.*\}\} \n$/,
    );
  });

  it("writes no character that a database may be unable to hold", () => {
    const metadata = '{"template": {"version": "\\u010d\\ud83d\\ude00 é"}}';
    const text = withFirstRun(metadata, "COMPLETED", AT) ?? "";
    expect(text).toContain('"template_version":"\\u010d\\ud83d\\ude00 \\u00e9"');
    expect(JSON.parse(text)).toMatchObject({ first_run: { template_version: "č😀 é" } });
  });

  it("gives json that says the same as before, and the mark", () => {
    const anyPreset = fc.dictionary(fc.string(), fc.jsonValue()).filter((o) => !("first_run" in o));
    fc.assert(
      fc.property(anyPreset, fc.jsonValue(), (preset, template) => {
        const before = JSON.stringify({ ...preset, template });
        const { first_run, ...rest } = JSON.parse(withFirstRun(before, "COMPLETED", AT) ?? "");
        expect(rest).toEqual(JSON.parse(before));
        expect(first_run.status).toBe("success");
      }),
    );
  });
});
