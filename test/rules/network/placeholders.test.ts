import { describe, expect, it } from "vitest";
import { placeholderProblem } from "../../../src/rules/network/placeholders.ts";

const NAMES = ["run_id", "sandbox_id"];

describe("placeholderProblem", () => {
  it.each([
    "https://h.example/",
    "https://h.example/{run_id}",
    "https://h.example:81/a/{run_id}/{sandbox_id}?again={run_id}",
    "https://h.example?run={run_id}",
  ])("finds nothing wrong with %s", (url) => {
    expect(placeholderProblem(url, NAMES)).toBeNull();
  });

  it.each([
    "https://{run_id}/",
    "https://{run_id}.h.example/",
    "https://h.example:{run_id}/",
    "https://{run_id}@h.example/",
    "https:/{run_id}/",
    "https:\\\\{run_id}/",
    "https:\\/{run_id}/",
    "https://h{.example/{run_id}",
  ])("wants no placeholder before the path in %s", (url) => {
    expect(placeholderProblem(url, NAMES)).toBe("must have placeholders in path or query only");
  });

  it.each([
    ["{runid}", "https://h.example/{run_id}/{runid}"],
    ["{}", "https://h.example/{}"],
    ["{run_id", "https://h.example/{run_id"],
    ["}", "https://h.example/{run_id}}"],
  ])("names %s as unknown in %s", (found, url) => {
    expect(placeholderProblem(url, NAMES)).toBe(
      `must have no other placeholders than {run_id}, {sandbox_id}, got "${found}"`,
    );
  });

  it("shows no more than a hundred characters of an unknown one", () => {
    const problem = placeholderProblem(`https://h.example/{${"x".repeat(1000)}}`, NAMES);
    expect(problem).toContain(`got "{${"x".repeat(99)}"`);
  });
});
