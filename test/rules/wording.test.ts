import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { clean } from "../../src/rules/text.ts";
import {
  exitError,
  failureDetailJson,
  killedError,
  presumedError,
  type StatusDetail,
  statedError,
  statusDetailJson,
} from "../../src/rules/wording.ts";
import { failure } from "../support/stands/snapshot.ts";

const AT = "2026-08-22T10:02:00.654321+00:00";
const EARLIER = "2026-08-22T10:00:00.123456+00:00";

describe("error_detail", () => {
  const none = { stdout: "", stderr: "" };
  const cases = [
    {
      name: "says killed, and shows stderr only",
      text: killedError({ stdout: "out", stderr: "err" }),
      expected: "Timed out: command timed out or was killed\nstderr: err",
    },
    {
      name: "says killed without outputs",
      text: killedError(none),
      expected: "Timed out: command timed out or was killed",
    },
    {
      name: "says the exit code, then stderr, then stdout",
      text: exitError(137, { stdout: "out", stderr: "err" }),
      expected: "exit_code=137\nstderr: err\nstdout: out",
    },
    {
      name: "leaves out an empty stderr",
      text: exitError(1, { stdout: "out", stderr: "" }),
      expected: "exit_code=1\nstdout: out",
    },
    {
      name: "leaves out an empty stdout",
      text: exitError(1, { stdout: "", stderr: "err" }),
      expected: "exit_code=1\nstderr: err",
    },
    {
      name: "leaves out outputs with nothing that can be stored",
      text: exitError(1, { stdout: "\0", stderr: "\uD800" }),
      expected: "exit_code=1",
    },
    {
      name: "says failed, without a reason",
      text: statedError("\0", none),
      expected: "Run failed",
    },
    {
      name: "says failed, and never starts like a presumption",
      text: statedError("Timed out: soon", none),
      expected: "Run failed: Timed out: soon",
    },
    {
      name: "says what is presumed, after the prefix that callbacks look for",
      text: presumedError("Sandbox\0 not available"),
      expected: "Timed out: Sandbox not available",
    },
  ];
  for (const { name, text, expected } of cases) {
    it(name, () => {
      expect(text).toBe(expected);
    });
  }

  const limits = [
    {
      of: "stderr",
      limit: 1000,
      show: (text: string) => exitError(1, { stdout: "", stderr: text }),
      before: "exit_code=1\nstderr: ",
    },
    {
      of: "stderr of a killed command",
      limit: 1000,
      show: (text: string) => killedError({ stdout: "", stderr: text }),
      before: "Timed out: command timed out or was killed\nstderr: ",
    },
    {
      of: "stdout",
      limit: 500,
      show: (text: string) => exitError(1, { stdout: text, stderr: "" }),
      before: "exit_code=1\nstdout: ",
    },
    {
      of: "a stated failure",
      limit: 1000,
      show: (text: string) => statedError(text, none),
      before: "Run failed: ",
    },
    { of: "a presumption", limit: 1000, show: presumedError, before: "Timed out: " },
  ];
  for (const { of, limit, show, before } of limits) {
    it(`shows ${limit} code points of ${of}, astral ones at the cut`, () => {
      const text = "😀".repeat(limit);
      expect(show(text)).toBe(before + text);
    });

    it(`cuts the first of ${limit + 1} code points of ${of}, astral ones at the cut`, () => {
      expect(show(`😀${"é😀".repeat(limit / 2)}`)).toBe(before + "é😀".repeat(limit / 2));
    });

    it(`counts code points of ${of} after what cannot be stored is removed`, () => {
      expect(show(`x${"\0y\uD800".repeat(limit)}`)).toBe(before + "y".repeat(limit));
    });
  }

  it("ends in a part of the cleaned output of bounded length", () => {
    const anyText = fc.string({
      unit: fc.constantFrom("a", "😀", "\0", "\uDFFF"),
      maxLength: 2500,
    });
    fc.assert(
      fc.property(anyText, (stderr) => {
        const shown = exitError(1, { stdout: "", stderr }).slice("exit_code=1\nstderr: ".length);
        expect(clean(stderr).endsWith(shown)).toBe(true);
        expect(shown.isWellFormed()).toBe(true);
        expect(Array.from(shown).length).toBeLessThanOrEqual(1000);
      }),
      { numRuns: 50 },
    );
  });
});

describe("statusDetailJson", () => {
  const entry: StatusDetail = {
    phase: "execution",
    kind: "timeout",
    detail: "killed",
    transient: false,
    source: "agent_server",
    operation: "verify_run",
  };
  const fingerprint = "execution:agent_server:verify_run:timeout";

  it("writes the keys in the host's order, what is optional last", () => {
    const text = statusDetailJson(
      { ...entry, code: "-1", statusCode: 500, extras: { formatted_detail: "all" } },
      null,
      AT,
    );
    expect(text).toBe(
      `{"phase":"execution","kind":"timeout","detail":"killed","transient":false,` +
        `"fingerprint":"${fingerprint}:500","first_seen_at":"${AT}","last_seen_at":"${AT}",` +
        `"count":1,"source":"agent_server","operation":"verify_run","code":"-1",` +
        `"status_code":500,"formatted_detail":"all"}`,
    );
  });

  it("leaves out what is not known", () => {
    expect(Object.keys(JSON.parse(statusDetailJson(entry, null, AT)))).toEqual([
      "phase",
      "kind",
      "detail",
      "transient",
      "fingerprint",
      "first_seen_at",
      "last_seen_at",
      "count",
      "source",
      "operation",
    ]);
  });

  it("removes from the detail what json cannot be read back with", () => {
    const text = statusDetailJson({ ...entry, detail: "a\0b\uD800" }, null, AT);
    expect(JSON.parse(text).detail).toBe("ab");
  });

  it("drops microseconds that are zero, as Python's isoformat does", () => {
    const text = statusDetailJson(entry, null, "2026-08-22T10:00:00.000000+00:00");
    expect(JSON.parse(text).last_seen_at).toBe("2026-08-22T10:00:00+00:00");
  });

  it("keeps microseconds that only begin or end with zeros", () => {
    const text = statusDetailJson(entry, null, "2026-08-22T10:00:00.000010+00:00");
    expect(JSON.parse(text).last_seen_at).toBe("2026-08-22T10:00:00.000010+00:00");
  });

  const merges = [
    {
      name: "counts on, and keeps first_seen_at, under the same fingerprint",
      previous: { fingerprint, first_seen_at: EARLIER, count: 2 },
      expected: { first_seen_at: EARLIER, last_seen_at: AT, count: 3 },
    },
    {
      name: "starts anew under another fingerprint",
      previous: { fingerprint: `${fingerprint}:500`, first_seen_at: EARLIER, count: 2 },
      expected: { first_seen_at: AT, last_seen_at: AT, count: 1 },
    },
    {
      name: "starts first_seen_at anew when the previous one has none",
      previous: { fingerprint, count: 2 },
      expected: { first_seen_at: AT, last_seen_at: AT, count: 3 },
    },
    ...["2", 2.5, null, undefined, Number.MAX_VALUE].map((count) => ({
      name: `counts anew, and keeps first_seen_at, after the count ${JSON.stringify(count)}`,
      previous: { fingerprint, first_seen_at: EARLIER, count },
      expected: { first_seen_at: EARLIER, last_seen_at: AT, count: 1 },
    })),
    ...[null, undefined, "garbage", 7, [], [fingerprint], {}, { fingerprint: null }].map(
      (previous) => ({
        name: `starts anew after ${JSON.stringify(previous)}`,
        previous,
        expected: { first_seen_at: AT, last_seen_at: AT, count: 1 },
      }),
    ),
  ];
  for (const { name, previous, expected } of merges) {
    it(name, () => {
      expect(JSON.parse(statusDetailJson(entry, previous, AT))).toMatchObject(expected);
    });
  }

  it("takes anything for the previous value, and gives an object that counts from 1", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (previous) => {
        const parsed = JSON.parse(statusDetailJson(entry, previous, AT));
        expect(parsed).toMatchObject({ fingerprint, count: 1 });
      }),
    );
  });
});

describe("failureDetailJson", () => {
  it("writes a failed question as the host does", () => {
    expect(failureDetailJson(failure(), null, AT)).toBe(
      `{"phase":"verification","kind":"rate_limited","detail":"sandbox_api get_sandbox returned HTTP 429",` +
        `"transient":true,"fingerprint":"sandbox_api:get_sandbox:rate_limited:429",` +
        `"first_seen_at":"${AT}","last_seen_at":"${AT}","count":1,"source":"sandbox_api",` +
        `"operation":"get_sandbox","status_code":429}`,
    );
  });

  it("ends the fingerprint with an empty part when there was no status", () => {
    const text = failureDetailJson(failure({ kind: "transport", statusCode: null }), null, AT);
    const parsed = JSON.parse(text);
    expect(parsed.fingerprint).toBe("sandbox_api:get_sandbox:transport:");
    expect(parsed).not.toHaveProperty("status_code");
  });

  it("counts on what it wrote itself", () => {
    const first = failureDetailJson(failure(), null, EARLIER);
    const second = JSON.parse(failureDetailJson(failure(), JSON.parse(first), AT));
    expect(second).toMatchObject({ first_seen_at: EARLIER, last_seen_at: AT, count: 2 });
  });
});
