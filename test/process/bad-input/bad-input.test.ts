/** What the program says to wrong arguments and wrong variables: all of it, on stderr, with exit code 2. */
import { describe, expect, it } from "vitest";
import { githubJob } from "../../support/process/github-job.ts";
import { parseProblems } from "../../support/process/report-document.ts";
import { runOnce } from "../../support/process/worker-process.ts";

const MINIMAL = {
  DATABASE_URL: "postgres://watchdog:hunter2@127.0.0.1:1/automations",
  AUTOMATION_OPENHANDS_API_BASE_URL: "http://127.0.0.1:1",
  AUTOMATION_SERVICE_KEY: "service-key-hunter2",
  WATCHDOG_HEALTH_PORT: "off",
};

describe("wrong arguments", () => {
  it("suggest the command that was meant, on stderr, without looking at the environment", async () => {
    const { code, stdout, stderr } = await runOnce({}, ["onse"]);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toContain("unknown command 'onse'");
    expect(stderr).toContain("Did you mean once?");
  });

  it("are one document on stdout when it was to be JSON, and explained on stderr as well", async () => {
    const args = ["once", "--output", "json", "--limit", "0"];
    const { code, stdout, stderr } = await runOnce({}, args);
    expect(code).toBe(2);
    expect(parseProblems(stdout)).toEqual({
      version: 1,
      status: "unusable",
      exitCode: 2,
      problems: [expect.stringContaining("option '--limit <n>' argument '0' is invalid")],
    });
    expect(stderr).toContain("--limit <n>");
  });

  it("are an annotation for GitHub, with its outputs and summary", async () => {
    await using job = await githubJob();
    const args = ["once", "--output", "github", "--limit", "0"];
    const { code, stdout, stderr } = await runOnce(job.env, args);
    expect(code).toBe(2);
    expect(stdout).toMatch(
      /^::error title=run-watchdog::option '--limit <n>' argument '0' [^\n]*\n$/,
    );
    expect(stderr).toContain("--limit <n>");
    expect(await job.outputs()).toBe("status=unusable\nexit-code=2\n");
    expect(await job.summary()).toContain("- `option '--limit <n>' argument '0'");
  });
});

describe("--help and --version", () => {
  it("print to stdout and exit with 0, whatever the environment", async () => {
    const env = { WATCHDOG_SCHEDULE: "never" };
    const version = await runOnce(env, ["--version"]);
    expect(version).toMatchObject({ code: 0, stderr: "" });
    expect(version.stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
    const help = await runOnce(env, ["once", "--help"]);
    expect(help).toMatchObject({ code: 0, stderr: "" });
    expect(help.stdout).toContain("--dry-run");
  });
});

describe("a proxy that is none", () => {
  it("is named without its value, which may hold a password", async () => {
    const http_proxy = "http://user:hunter2@no host:3128";
    const ended = await runOnce({ ...MINIMAL, http_proxy, HTTPS_PROXY: "proxy:3128" }, ["once"]);
    expect(ended).toMatchObject({ code: 2, stdout: "" });
    expect(ended.stderr).toContain("http_proxy must be a URL such as http://");
    expect(ended.stderr).toContain("HTTPS_PROXY must be a URL such as http://");
    expect(ended.stderr).not.toContain("hunter2");
  });
});

describe("wrong variables", () => {
  const wrong = {
    ...MINIMAL,
    DATABASE_URL: "mysql://watchdog:hunter2@db/automations",
    REDIS_URL: "redis-sentinel://:hunter2@redis/0",
    AUTOMATION_SERVICE_KEY: "service\nhunter2",
    WATCHDOG_SCHEDULE: "every minute",
    WATCHDOG_LEASE_TTL: "8s",
    WATCHDOG_CONCURRENCY: "0",
    WATCHDOG_CONCURENCY: "8",
    WATCHDOG_VERIFY_TIMEOUT: "30",
    WATCHDOG_HEALTH_PORT: "http",
    LOG_LEVEL: "loud",
  };

  for (const args of [["run"], ["once", "--output", "json"]]) {
    it(`are all named at once by ${args[0]}, with what was expected and found`, async () => {
      const { code, stdout, stderr } = await runOnce(wrong, args);
      expect(code).toBe(2);
      const problems = stderr.split("\n").filter((line) => line.startsWith("  "));
      expect(problems).toHaveLength(10);
      if (args.includes("json")) {
        const told = parseProblems(stdout).problems;
        expect(told.map((problem) => `  ${problem}`)).toEqual(problems);
      } else expect(stdout).toBe("");
      for (const [name, text] of [
        ["DATABASE_URL", "must be a postgres:// or postgresql:// URL, got"],
        ["REDIS_URL", "must be a redis:// or rediss:// URL of one endpoint, got a Sentinel"],
        ["AUTOMATION_SERVICE_KEY", "must hold only printable ASCII"],
        ["WATCHDOG_SCHEDULE", 'got "every minute"'],
        [
          "WATCHDOG_LEASE_TTL",
          "must be longer than twice WATCHDOG_LEASE_RENEW (5000 ms), got 8000",
        ],
        ["WATCHDOG_CONCURRENCY", 'must be a whole number from 1 to 512, got "0"'],
        ["WATCHDOG_CONCURENCY", "did you mean WATCHDOG_CONCURRENCY?"],
        ["WATCHDOG_VERIFY_TIMEOUT", '(units ms, s, m, h, d), got "30"'],
        ["WATCHDOG_HEALTH_PORT", 'must be a whole number from 0 to 65535 or off, got "http"'],
        ["LOG_LEVEL", 'got "loud"'],
      ] as const) {
        const found = problems.filter((line) => line.startsWith(`  ${name} `));
        expect(found, name).toHaveLength(1);
        expect(found[0]).toContain(text);
      }
      expect(stderr).not.toContain("hunter2");
    });
  }

  it("are an annotation each for GitHub, with its outputs and summary", async () => {
    await using job = await githubJob();
    const { code, stdout } = await runOnce({ ...wrong, ...job.env }, [
      "once",
      "--output",
      "github",
    ]);
    expect(code).toBe(2);
    expect(stdout.match(/^::error title=run-watchdog::\w+ /gm)).toHaveLength(10);
    expect(await job.outputs()).toBe("status=unusable\nexit-code=2\n");
    const summary = await job.summary();
    expect(summary.match(/^- `\w+ /gm)).toHaveLength(10);
    expect(`${stdout}${summary}`).not.toContain("hunter2");
  });

  it("are told when nothing is set at all", async () => {
    const { code, stdout, stderr } = await runOnce({}, ["once"]);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    for (const name of [
      "DATABASE_URL",
      "AUTOMATION_OPENHANDS_API_BASE_URL",
      "AUTOMATION_SERVICE_KEY",
    ]) {
      expect(stderr).toMatch(new RegExp(`^  ${name} must be set`, "m"));
    }
  });

  it("name a root certificate that cannot be read", async () => {
    const url = `${MINIMAL.DATABASE_URL}?sslmode=verify-full&sslrootcert=/nowhere/ca.pem`;
    const { code, stdout, stderr } = await runOnce({ ...MINIMAL, DATABASE_URL: url }, ["once"]);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toContain(
      `sslrootcert must name a readable file, got "/nowhere/ca.pem" (ENOENT)`,
    );
    expect(stderr).not.toContain("hunter2");
  });
});
