/** The compose file of deploy/compose: that what it names is there. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { SETTINGS } from "../../src/config/env/settings.ts";
import { findTool } from "./tools.ts";

const FOLDER = join(import.meta.dirname, "..", "..", "deploy", "compose");
const FILE = join(FOLDER, "compose.yaml");

interface Service {
  readonly environment?: Readonly<Record<string, string>>;
  readonly volumes?: readonly string[];
  readonly depends_on?: Readonly<Record<string, object>>;
  readonly ports?: readonly string[];
}

const compose = await findTool("docker", ["compose", "version"], "the check of compose itself");

describe("deploy/compose/compose.yaml", () => {
  const services: Readonly<Record<string, Service>> = parse(readFileSync(FILE, "utf8"), {
    merge: true,
  }).services;

  it("mounts files that there are", () => {
    const mounted = Object.values(services).flatMap(({ volumes = [] }) => volumes);
    const files = mounted.map((volume) => join(FOLDER, volume.split(":")[0] ?? ""));
    expect(files.length).toBeGreaterThan(4);
    expect(files.filter((file) => !existsSync(file))).toEqual([]);
  });

  it("gives two workers settings that there are, with one lease", () => {
    const { "worker-1": one, "worker-2": two } = services;
    const names = Object.keys(one?.environment ?? {});
    expect(names).toContain("REDIS_URL");
    expect(names.filter((name) => !Object.hasOwn(SETTINGS, name))).toEqual([]);
    expect(two?.environment).toEqual(one?.environment);
  });

  it("waits for services that there are, and is scraped where workers are", () => {
    const awaited = Object.values(services).flatMap((each) => Object.keys(each.depends_on ?? {}));
    expect(awaited.filter((name) => !Object.hasOwn(services, name))).toEqual([]);
    const { scrape_configs: jobs } = parse(readFileSync(join(FOLDER, "prometheus.yaml"), "utf8"));
    expect(jobs).toMatchObject([
      { static_configs: [{ targets: ["worker-1:9464", "worker-2:9464"] }] },
    ]);
  });

  it("is reached from this machine alone", () => {
    const ports = Object.values(services).flatMap((each) => each.ports ?? []);
    expect(ports.filter((port) => !port.startsWith("127.0.0.1:"))).toEqual([]);
  });

  it.skipIf(compose === null)("is understood by compose", async () => {
    await compose?.(["compose", "--file", FILE, "config", "--quiet"]);
  });
});
