/** The manifests of deploy/kubernetes as kustomize renders them. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { describe, expect, it } from "vitest";
import { parse, parseAllDocuments } from "yaml";
import { readDocument } from "../support/shell-blocks.ts";
import { type Manifest, problemsOf } from "./manifest-types.ts";
import { type Container, looseContainers, podsOf, unknownSettings } from "./pods.ts";
import { findTool } from "./tools.ts";

const ROOT = join(import.meta.dirname, "..", "..");
const KUBERNETES = join(ROOT, "deploy", "kubernetes");
const SIDECAR = join(KUBERNETES, "overlays", "sidecar");
const OURS = ["base", "overlays/observe", "overlays/redis-lease", "overlays/cronjob"];

const kubectl = await findTool("kubectl", ["version", "--client"], "the manifests of kustomize");

describe.skipIf(kubectl === null)("deploy/kubernetes", () => {
  it.each(OURS)(
    "%s keeps to the API of Kubernetes, hardened and with settings that there are",
    async (overlay) => {
      const manifests = await render(join(KUBERNETES, overlay));
      expect(await problemsOf(manifests)).toEqual([]);
      const pods = manifests.flatMap(podsOf);
      expect(pods).toHaveLength(1);
      expect(pods.flatMap(looseContainers)).toEqual([]);
      expect(manifests.flatMap(unknownSettings)).toEqual([]);
    },
  );

  it("adds a sidecar to the platform's deployment, after its own migrations and without readiness", async () => {
    const manifests = await withHost(["automation"]);
    expect(await problemsOf(manifests)).toEqual([]);
    const [pod] = manifests.flatMap(podsOf);
    const names = pod?.initContainers?.map(({ name }) => name);
    expect(names).toEqual(["migrate", "run-watchdog-migrate", "run-watchdog"]);
    const sidecar = pod?.initContainers?.at(-1);
    expect(sidecar).toMatchObject({
      image: "registry.example.com/run-watchdog:0.1.0",
      restartPolicy: "Always",
      livenessProbe: { httpGet: { path: "/livez" } },
    });
    expect(sidecar).not.toHaveProperty("readinessProbe");
    const settings = manifests.find(({ kind }) => kind === "ConfigMap");
    expect(settings).toMatchObject({ data: { WATCHDOG_MODE: "observe" } });
    // Under the name that kustomize gives it by its content.
    const from = [{ configMapRef: { name: settings?.metadata.name } }];
    expect(sidecar).toMatchObject({ envFrom: from });
    expect(looseContainers({ initContainers: pod?.initContainers?.slice(1) ?? [] })).toEqual([]);
    expect(manifests.flatMap(unknownSettings)).toEqual([]);
  });

  it("runs the sidecar and the sweeps of the job like the worker of the Deployment", async () => {
    const worker = await mainContainer("base");
    const job = await mainContainer("overlays/cronjob");
    for (const key of ["env", "resources", "securityContext"] as const) {
      expect(job?.[key]).toEqual(worker?.[key]);
    }
    const [pod] = (await withHost(["automation"])).flatMap(podsOf);
    const sidecar = pod?.initContainers?.at(-1);
    expect(sidecar).toMatchObject({ env: worker?.env, resources: worker?.resources });
    expect(sidecar?.securityContext).toMatchObject(worker?.securityContext ?? {});
    const [, shown = ""] = /```yaml\n([\s\S]+?)```/.exec(readDocument("README.md")) ?? [];
    const [{ args, resources, securityContext }] = parse(shown);
    expect(sidecar).toMatchObject({ args, resources, securityContext });
  });

  it("leaves every other deployment of the platform alone", async () => {
    const pods = (await withHost(["automation", "automation-events"])).flatMap(podsOf);
    expect(pods.map(({ initContainers }) => initContainers?.length)).toEqual([3, 1]);
  });

  it("observes without migrations and without a budget for disruptions", async () => {
    const manifests = await render(join(KUBERNETES, "overlays", "observe"));
    expect(manifests.map(({ kind }) => kind)).not.toContain("PodDisruptionBudget");
    const [pod] = manifests.flatMap(podsOf);
    expect(pod?.initContainers ?? []).toEqual([]);
    const settings = manifests.find(({ kind }) => kind === "ConfigMap");
    expect(settings).toMatchObject({ data: { WATCHDOG_MODE: "observe" } });
  });
});

describe("the check of manifests", () => {
  const container = { name: "x", image: "y" };

  it("finds nothing wrong with what is right", async () => {
    expect(await problemsOf([deployment("x", container)])).toEqual([]);
  });

  it.each([
    ["a misspelt key", { imagePullPolice: "Always" }, "imagePullPolice"],
    ["a misspelt key far inside", { livenessProbe: { periodSecond: 3 } }, "periodSecond"],
    ["a value of another kind", { ports: [{ containerPort: "http" }] }, "number"],
  ])("finds %s", async (_, more, named) => {
    const found = await problemsOf([deployment("x", { ...container, ...more })]);
    expect(found).toEqual([expect.stringContaining(named)]);
  });

  it("finds a kind that there is not", async () => {
    const manifest = { ...deployment("x", container), kind: "Deploymint" };
    expect(await problemsOf([manifest])).toEqual([expect.stringContaining("Deploymint")]);
  });

  it("finds a container that may do too much, and a setting that there is not", () => {
    const manifest = deployment("x", {
      ...container,
      env: [{ name: "WATCHDOG_MOOD", value: "x" }],
    });
    expect(podsOf(manifest).flatMap(looseContainers)).toEqual(["x"]);
    expect(unknownSettings(manifest)).toEqual(["WATCHDOG_MOOD"]);
  });
});

async function mainContainer(overlay: string): Promise<Container | undefined> {
  const [pod] = (await render(join(KUBERNETES, overlay))).flatMap(podsOf);
  return pod?.containers?.[0];
}

async function render(folder: string): Promise<readonly Manifest[]> {
  if (kubectl === null) throw new Error("there is no kubectl");
  const { stdout } = await kubectl(["kustomize", folder]);
  return parseAllDocuments(stdout).map((document) => document.toJS() as Manifest);
}

/** The kustomization of docs/install.md. */
function documented(): Readonly<Record<string, unknown>> {
  const document = readDocument("docs/install.md");
  const [, kustomization = ""] = /```yaml\n([\s\S]+?)```/.exec(document) ?? [];
  expect(kustomization).toContain(relative(ROOT, SIDECAR));
  return parse(kustomization);
}

/** The sidecar in a platform that has these deployments. */
async function withHost(names: readonly string[]): Promise<readonly Manifest[]> {
  const folder = await mkdtemp(join(tmpdir(), "run-watchdog-host-"));
  try {
    const init = [{ name: "migrate", image: "openhands/automation" }];
    const host = names.map((name) =>
      JSON.stringify(deployment(name, { name: "automation", image: "openhands/automation" }, init)),
    );
    await writeFile(join(folder, "host.yaml"), host.join("\n---\n"));
    const components = [relative(folder, SIDECAR)];
    const kustomization = { ...documented(), resources: ["host.yaml"], components };
    await writeFile(join(folder, "kustomization.yaml"), JSON.stringify(kustomization));
    return await render(folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

function deployment(
  name: string,
  container: Container,
  initContainers: readonly Container[] = [],
): Manifest {
  const labels = { app: name };
  const pod = { initContainers, containers: [container] };
  const spec = { selector: { matchLabels: labels }, template: { metadata: { labels }, spec: pod } };
  return Object.assign({ apiVersion: "apps/v1", kind: "Deployment", metadata: { name } }, { spec });
}
