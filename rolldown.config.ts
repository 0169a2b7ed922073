/** What is shipped: the command, the library, its types in one file, and the licences of what is bundled. */
import { chmodSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { defineConfig, type Plugin } from "rolldown";
import { dts } from "rolldown-plugin-dts";

const output = { dir: "dist", format: "esm", chunkFileNames: "[name].js" } as const;

export default defineConfig([
  {
    input: ["src/main.ts", "src/index.ts"],
    platform: "node",
    // An older Node.js must get as far as the check of its version: it has to be able to read the syntax.
    transform: { target: "node18" },
    plugins: [withoutExemplars(), withoutFetch(), thirdPartyLicenses(), executable()],
    checks: { pluginTimings: false },
    output: {
      ...output,
      cleanDir: true,
      // They are two thirds of some packages, and every file that is loaded stays in memory as text.
      comments: false,
      // Before everything else in the library as well: a file of its own is the first one that is imported.
      codeSplitting: { groups: [{ name: "supported-node", test: /supported-node/ }] },
    },
  },
  {
    input: "src/index.ts",
    platform: "node",
    // No type of another package belongs to the public face; whatever mentions one shows in the test of the package.
    external: (id, importer) => importer !== undefined && /^[^./]/.test(id),
    treeshake: { moduleSideEffects: false },
    plugins: [dts({ generator: "tsgo", tsconfig: "src/tsconfig.types.json", emitDtsOnly: true })],
    checks: { pluginTimings: false },
    output,
  },
]);

/** prom-client loads the API of OpenTelemetry for exemplars, which nobody asks it for; ours waits for an SDK. */
function withoutExemplars(): Plugin {
  const nothing = "\0nothing";
  return {
    name: "without-exemplars",
    resolveId(id, importer) {
      return id === "@opentelemetry/api" && importer?.includes("/prom-client/") ? nothing : null;
    },
    load: (id) => (id === nothing ? "export {};" : null),
  };
}

/**
 * What is loaded is resident for ever, and neither `fetch` nor HTTP/2 is used here. undici's own index loads its `fetch`,
 * and replaces the dispatcher of every `fetch` in the process, which a library must not. Node's comes with an `import` of
 * `node:http`, which reads every export; `require` does not. Together 17 MB.
 */
function withoutFetch(): Plugin {
  const lean: Readonly<Record<string, string>> = {
    undici: `
      import Dispatcher from "undici/lib/dispatcher/dispatcher.js";
      import api from "undici/lib/api/index.js";
      Object.assign(Dispatcher.prototype, api);
      export { default as Agent } from "undici/lib/dispatcher/agent.js";
      export { default as Pool } from "undici/lib/dispatcher/pool.js";
      export { default as ProxyAgent } from "undici/lib/dispatcher/proxy-agent.js";
      export { default as buildConnector } from "undici/lib/core/connect.js";
    `,
    "node:http": `
      import { createRequire } from "node:module";
      export const { createServer, get } = createRequire(import.meta.url)("node:http");
    `,
    "node:http2": "export const constants = {};",
  };
  const prefix = "\0lean:";
  return {
    name: "without-fetch",
    resolveId(id, importer) {
      if (importer === undefined || !Object.hasOwn(lean, id)) return null;
      const isAsked = (packageFolder(importer) === null) === (id !== "node:http2");
      return isAsked ? `${prefix}${id}` : null;
    },
    load: (id) => (id.startsWith(prefix) ? lean[id.slice(prefix.length)] : null),
  };
}

/** The licence texts of all packages of which some code is in the bundle. */
function thirdPartyLicenses(): Plugin {
  return {
    name: "third-party-licenses",
    generateBundle(_, bundle) {
      const chunks = Object.values(bundle).filter((file) => file.type === "chunk");
      const folders = chunks.flatMap(({ moduleIds }) => moduleIds.map(packageFolder));
      const packages = [...new Set(folders.filter((folder) => folder !== null))].toSorted();
      const source = packages.map(license).join(`\n${"-".repeat(80)}\n\n`);
      this.emitFile({ type: "asset", fileName: "THIRD-PARTY-LICENSES", source });
    },
  };
}

/** `npx run-watchdog` beside the sources runs the file itself, and npm makes it executable at the first call alone. */
function executable(): Plugin {
  return {
    name: "executable",
    writeBundle: ({ dir = "dist" }) => chmodSync(join(dir, "main.js"), 0o755),
  };
}

/** `null` for our own files and for the bundler's. */
function packageFolder(id: string): string | null {
  return /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+/.exec(id)?.[0] ?? null;
}

function license(folder: string): string {
  const text = readFileSync(join(folder, "package.json"), "utf8");
  const { name, version, license }: Readonly<Record<string, string>> = JSON.parse(text);
  return `${name} ${version} (${license})\n\n${licenseText(folder, license ?? "nothing")}\n`;
}

function licenseText(folder: string, kind: string): string {
  const name = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
  const path = name === undefined ? STANDARD_TEXTS.get(kind) : join(folder, name);
  if (path !== undefined) return readFileSync(path, "utf8").trim();
  if (kind === "Unlicense") return "Dedicated to the public domain, without any warranty.";
  throw new Error(`${folder} has no licence text, and there is none for ${kind}`);
}

/** For packages that only name their licence. */
const STANDARD_TEXTS: ReadonlyMap<string, string> = new Map([
  ["Apache-2.0", "node_modules/typescript/LICENSE"],
]);
