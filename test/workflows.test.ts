/** The workflows of .github/: what a release consists of, and what its first check lets through. */
import { execFile } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { parse } from "yaml";
import packageJson from "../package.json" with { type: "json" };

const ROOT = join(import.meta.dirname, "..");
const FOLDER = join(ROOT, ".github", "workflows");

interface Workflow {
  readonly on: Readonly<Record<string, unknown>>;
  readonly jobs: Readonly<Record<string, Job>>;
}

interface Job {
  readonly needs?: readonly string[];
  readonly uses?: string;
  readonly permissions?: Readonly<Record<string, string>>;
  readonly steps?: readonly Step[];
}

interface Step {
  readonly uses?: string;
  readonly run?: string;
  readonly with?: Readonly<Record<string, unknown>>;
}

const textOf = (name: string) => readFileSync(join(FOLDER, name), "utf8");
const { on, jobs }: Workflow = parse(textOf("release.yml"));
const stepsOf = (job: string) => jobs[job]?.steps ?? [];

describe("the workflows", () => {
  it("name no host", () => {
    for (const name of readdirSync(FOLDER)) {
      expect(textOf(name), name).not.toMatch(
        /https?:|\b[\w-]+\.(?:io|com|dev|net|org|amazonaws)\b/,
      );
    }
  });
});

describe("the release workflow", () => {
  it("starts with a tag of a version", () => {
    expect(on).toEqual({ push: { tags: ["v[0-9]+.[0-9]+.[0-9]+"] } });
  });

  it("publishes nothing before the version, CI and the acceptance hold", () => {
    const before = ["notes", "ci", "accept"];
    expect(jobs["package"]?.needs).toEqual(before);
    expect(jobs["image"]?.needs).toEqual(before);
    expect(jobs["release"]?.needs).toEqual(["package", "image"]);
    expect(parse(textOf("ci.yml")).on).toHaveProperty("workflow_call");
    expect(jobs["ci"]?.uses).toBe("./.github/workflows/ci.yml");
    expect(stepsOf("accept").map(({ run }) => run)).toContain("npm run accept");
  });

  it("publishes the package with provenance", () => {
    const published = stepsOf("package").map(({ run }) => run);
    expect(published).toContain("npm publish --provenance --access public");
    expect(jobs["package"]?.permissions).toEqual({ contents: "read", "id-token": "write" });
  });

  it("pushes the image for two architectures with attestations, and the labels' build arguments", () => {
    const build = stepsOf("image").find(({ uses }) =>
      uses?.startsWith("docker/build-push-action@"),
    );
    expect(build?.with).toMatchObject({
      platforms: "linux/amd64,linux/arm64",
      push: true,
      sbom: true,
      provenance: "mode=max",
    });
    const given = String(build?.with?.["build-args"]).match(/^\w+(?==)/gm);
    const dockerfile = readFileSync(join(ROOT, "Dockerfile"), "utf8");
    const [, labels = ""] = /^LABEL ((?:.*\\\n)*.*)$/m.exec(dockerfile) ?? [];
    expect(Array.from(labels.matchAll(/\$\{(\w+)\}/g), ([, name]) => name)).toEqual(given);
    expect(
      Array.from(labels.matchAll(/opencontainers\.image\.(\w+)=/g), ([, name]) => name),
    ).toEqual(["title", "description", "licenses", "version", "revision", "source"]);
  });
});

describe("the check of a release's tag", () => {
  const { version } = packageJson;
  const script = stepsOf("notes").find(({ run }) => run !== undefined)?.run ?? "";
  let folder: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "run-watchdog-release-"));
    writeFileSync(join(folder, "package.json"), JSON.stringify(packageJson, null, 2));
  });

  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  async function check(tag: string, changelog: string) {
    writeFileSync(join(folder, "CHANGELOG.md"), changelog);
    const env = { PATH: process.env["PATH"], GITHUB_REF_NAME: tag, RUNNER_TEMP: folder };
    const options = { cwd: folder, env };
    // As the runner starts it.
    return await promisify(execFile)("bash", ["-e", "-c", script], options).then(
      () => ({ code: 0, stderr: "", notes: readFileSync(join(folder, "notes.md"), "utf8") }),
      ({ code, stderr }) => ({ code, stderr, notes: "" }),
    );
  }

  for (const heading of [`## ${version}`, `## [${version}] - 2030-01-31`]) {
    it(`takes the section "${heading}" of the changelog, and nothing else`, async () => {
      const changelog = `# Changelog\n\n## Unreleased\n\n- new\n\n${heading}\n\n### Added\n\n- this\n\n## 0.0.9\n\n- old\n`;
      const { code, notes } = await check(`v${version}`, changelog);
      expect({ code, notes }).toEqual({ code: 0, notes: "\n### Added\n\n- this\n\n" });
    });
  }

  it("refuses a tag that is not package.json's version", async () => {
    const { code, stderr } = await check("v9.9.9", "## 9.9.9\n\n- this\n");
    expect(code).toBe(1);
    expect(stderr).toContain(`found ${version}`);
  });

  it("refuses a version that the changelog does not know", async () => {
    const { code, stderr } = await check(`v${version}`, `## Unreleased\n\n- ${version}\n`);
    expect(code).toBe(1);
    expect(stderr).toContain(`wanted a section "## ${version}" in CHANGELOG.md`);
  });
});
