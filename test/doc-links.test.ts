/** What documents and comments point to is there, and README.md stays short. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, dirname, join, relative } from "node:path";
import { describe, expect, it } from "vitest";

const ROOT = join(import.meta.dirname, "..");

/** Whoever wants to know more finds it in docs/. */
const README_LINES = 150;

const DOCUMENTS = [
  ...["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"].map((name) =>
    join(ROOT, name),
  ),
  ...readdirSync(join(ROOT, "docs"))
    .filter((name) => name.endsWith(".md"))
    .map((name) => join(ROOT, "docs", name)),
];

describe("the documents", () => {
  it("link to files and headings that exist", () => {
    expect(DOCUMENTS.length).toBeGreaterThan(8);
    const broken = DOCUMENTS.flatMap((path) => brokenLinks(path, readFileSync(path, "utf8")));
    expect(broken).toEqual([]);
  });

  it("name files and folders of the repository that exist", () => {
    const wrong = DOCUMENTS.flatMap((path) =>
      pathsIn(readFileSync(path, "utf8"))
        .filter((named) => !existsSync(join(ROOT, named)))
        .map((named) => `${relative(ROOT, path)}: ${named}, no such file`),
    );
    expect(wrong).toEqual([]);
  });

  it("keep README.md within 150 lines", () => {
    const lines = readFileSync(join(ROOT, "README.md"), "utf8").trimEnd().split("\n");
    expect(lines.length).toBeLessThanOrEqual(README_LINES);
  });
});

describe("comments", () => {
  it("name files that exist", () => {
    const files = sourceFiles();
    const names = new Set([...files, ...DOCUMENTS].map((path) => basename(path)));
    const wrong = files.flatMap((path) =>
      namedIn(readFileSync(path, "utf8"))
        .filter((name) => !names.has(name))
        .map((name) => `${relative(ROOT, path)}: ${name}, no such file`),
    );
    expect(files.length).toBeGreaterThan(300);
    expect(wrong).toEqual([]);
  });
});

describe("namedIn", () => {
  it("finds the names of files in comments, without their folders, and none in code", () => {
    const text = [
      "/** See docs/design.md, and sweep.ts. */",
      'import { one } from "./other.ts";',
      " * The rules stand in nowhere.ts.",
      ["const x = 1;", "as third.ts does"].join(" // "),
    ];
    expect(namedIn(text.join("\n"))).toEqual(["design.md", "sweep.ts", "nowhere.ts", "third.ts"]);
  });
});

describe("brokenLinks", () => {
  const of = (markdown: string) => brokenLinks(join(ROOT, "README.md"), markdown);

  it("reports a file that is not there", () => {
    expect(of("see [it](docs/nowhere.md)")).toEqual(["README.md: docs/nowhere.md, no such file"]);
  });

  it("reports a heading that is not there, in another file and in the same one", () => {
    expect(of("# Here\n[a](docs/design.md#nothing) [b](#there)")).toEqual([
      "README.md: docs/design.md#nothing, no such heading",
      "README.md: #there, no such heading",
    ]);
  });

  it("accepts headings as a forge numbers and spells them, and leaves the web and code alone", () => {
    const markdown = [
      "# What it's for: `once`, and more",
      "## Again",
      "## Again",
      "[a](#what-its-for-once-and-more) [b](#again-1) [c](https://example.com/x)",
      "```md",
      "[d](nowhere.md)",
      "```",
    ];
    expect(of(markdown.join("\n"))).toEqual([]);
  });
});

function sourceFiles(): readonly string[] {
  return ["src", "test"].flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" })
      .filter((name) => name.endsWith(".ts"))
      .map((name) => join(ROOT, folder, name)),
  );
}

/** Examples in backticks are no names. */
function namedIn(text: string): readonly string[] {
  const comments = Array.from(text.matchAll(/(?:^ *\/?\*+ |\/\/ )(.*)$/gm), ([, comment = ""]) =>
    comment.replaceAll(/`[^`]*`/g, ""),
  );
  return comments.flatMap((comment) =>
    Array.from(comment.matchAll(/[\w./-]*\w\.(?:ts|md)\b/g), ([name]) => basename(name)),
  );
}

/** What stands in backticks and begins like a path of this repository; `src/*.ts` is none. */
function pathsIn(markdown: string): readonly string[] {
  const inline = withoutCode(markdown).matchAll(/`((?:src|test|docs|drizzle)\/[\w./-]+)`/g);
  return Array.from(inline, ([, path = ""]) => path);
}

function brokenLinks(path: string, markdown: string): readonly string[] {
  const links = Array.from(
    withoutCode(markdown).matchAll(/\]\(([^)\s]+)\)/g),
    ([, to]) => to ?? "",
  );
  return links.flatMap((link) => {
    const problem = /^[a-z]+:/.test(link) ? null : problemOf(path, markdown, link);
    return problem === null ? [] : [`${relative(ROOT, path)}: ${link}, ${problem}`];
  });
}

function problemOf(path: string, markdown: string, link: string): string | null {
  const [file = "", heading] = link.split("#");
  const target = file === "" ? path : join(dirname(path), file);
  if (!existsSync(target)) return "no such file";
  if (heading === undefined) return null;
  const text = target === path ? markdown : readFileSync(target, "utf8");
  return anchorsOf(text).includes(heading) ? null : "no such heading";
}

/** As forges derive them; a heading that comes again gets a number. */
function anchorsOf(markdown: string): readonly string[] {
  const seen = new Map<string, number>();
  return Array.from(withoutCode(markdown).matchAll(/^#+ +(.+)$/gm), ([, title = ""]) => {
    const anchor = title
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}_ -]/gu, "")
      .replaceAll(" ", "-");
    const times = seen.get(anchor) ?? 0;
    seen.set(anchor, times + 1);
    return times === 0 ? anchor : `${anchor}-${times}`;
  });
}

function withoutCode(markdown: string): string {
  return markdown.replaceAll(/^ *```[\s\S]*?^ *```/gm, "");
}
