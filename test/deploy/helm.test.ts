/** The chart of deploy/helm as Helm renders it. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { parse, parseAllDocuments } from "yaml";
import { readDocument } from "../support/shell-blocks.ts";
import { type Manifest, problemsOf } from "./manifest-types.ts";
import { looseContainers, podsOf, unknownSettings } from "./pods.ts";
import { findTool, type Printed } from "./tools.ts";

const ROOT = join(import.meta.dirname, "..", "..");
const CHART = join(ROOT, "deploy", "helm", "run-watchdog");
const URL_SET = "openhands.apiBaseUrl=https://app.example.com";

const helm = await findTool("helm", ["version"], "the chart of Helm");

describe.skipIf(helm === null)("deploy/helm/run-watchdog", () => {
  const values: readonly (readonly [string, readonly string[], readonly string[]])[] = [
    [
      "a Deployment",
      [],
      [
        "ConfigMap",
        "Deployment",
        "NetworkPolicy",
        "PodDisruptionBudget",
        "Service",
        "ServiceAccount",
      ],
    ],
    [
      "an observer",
      ["observe=true", "replicas=1", "networkPolicy.enabled=false"],
      ["ConfigMap", "Deployment", "Service", "ServiceAccount"],
    ],
    [
      "a CronJob",
      ["cronJob.enabled=true", "podAnnotations.a=b", "serviceMonitor.enabled=true"],
      ["ConfigMap", "CronJob", "NetworkPolicy", "ServiceAccount"],
    ],
    [
      "everything",
      [
        ...["serviceMonitor.enabled=true", "prometheusRule.enabled=true", "dashboard.enabled=true"],
        ...["redis.existingSecret=r", "openhands.caBundle.configMap=openhands-ca-bundle"],
        ...["settings.WATCHDOG_DB_POOL=5", "podLabels.a=b", "nodeSelector.a=b"],
        ...["imagePullSecrets[0].name=p", "tolerations[0].operator=Exists"],
      ],
      [
        ...["ConfigMap", "ConfigMap", "Deployment", "NetworkPolicy", "PodDisruptionBudget"],
        ...["PrometheusRule", "Service", "ServiceAccount", "ServiceMonitor"],
      ],
    ],
  ];
  it.each(values)("renders %s that keeps to the API of Kubernetes", async (_, set, kinds) => {
    const manifests = await render(set);
    expect(manifests.map(({ kind }) => kind).toSorted()).toEqual(kinds);
    expect(await problemsOf(manifests)).toEqual([]);
    const pods = manifests.flatMap(podsOf);
    expect(pods).toHaveLength(1);
    expect(pods.flatMap(looseContainers)).toEqual([]);
    const settings = manifests.filter(({ metadata }) => !metadata.name.endsWith("-dashboard"));
    expect(settings.flatMap(unknownSettings).filter((name) => !name.startsWith("NODE_"))).toEqual(
      [],
    );
  });

  it.each(values)("finds nothing to complain about in %s", async (_, set) => {
    const { stdout } = await lint(set);
    expect(stdout).toContain("1 chart(s) linted, 0 chart(s) failed");
    expect(stdout).not.toMatch(/\[(?:WARNING|ERROR)\]/);
  });

  it("is installed as docs/install.md says", async () => {
    const [, command = ""] = /`helm install ([^`]+)`/.exec(readDocument("docs/install.md")) ?? [];
    const [name, chart = "", ...options] = command.split(" ");
    expect([name, join(ROOT, chart)]).toEqual(["run-watchdog", CHART]);
    expect((await template(options)).map(({ kind }) => kind)).toContain("Deployment");
  });

  it("has the alerts and the dashboard of deploy/, and no others", async () => {
    const manifests = await render(["prometheusRule.enabled=true", "dashboard.enabled=true"]);
    const rules = manifests.find(({ kind }) => kind === "PrometheusRule");
    expect(rules).toMatchObject({ spec: parse(textOf("prometheus", "alerts.yaml")) });
    const dashboard = manifests.find(({ metadata }) => metadata.name.endsWith("-dashboard"));
    expect(JSON.parse(Object(Reflect.get(dashboard ?? {}, "data"))["run-watchdog.json"])).toEqual(
      JSON.parse(textOf("grafana", "run-watchdog.json")),
    );
  });

  it("runs the same pod as the manifests of kustomize", async () => {
    const ours = parse(textOf("kubernetes", "base", "deployment.yaml")).spec.template.spec;
    const [pod] = (await render(["resources.requests.memory=192Mi"])).flatMap(podsOf);
    const [container] = pod?.containers ?? [];
    const { image, ...rest } = ours.containers[0];
    expect(image).toBe("run-watchdog");
    expect(container).toMatchObject({ ...rest, envFrom: [{ configMapRef: {} }] });
    const { terminationGracePeriodSeconds, securityContext, enableServiceLinks } = ours;
    expect(pod).toMatchObject({
      terminationGracePeriodSeconds,
      securityContext,
      enableServiceLinks,
    });
  });

  it("retries the same sweeps as the manifests of kustomize, and lets the same through", async () => {
    const manifests = await render(["cronJob.enabled=true"]);
    const specOf = (kind: string) => Object(manifests.find((each) => each.kind === kind)).spec;
    const { jobTemplate, ...schedule } = parse(
      textOf("kubernetes", "overlays", "cronjob", "cronjob.yaml"),
    ).spec;
    const { template, ...job } = jobTemplate.spec;
    expect(specOf("CronJob")).toMatchObject({ ...schedule, jobTemplate: { spec: job } });
    expect(template.spec.restartPolicy).toBe("Never");
    const { podSelector, ...rules } = parse(
      textOf("kubernetes", "common", "networkpolicy.yaml"),
    ).spec;
    expect(podSelector).toBeDefined();
    expect(specOf("NetworkPolicy")).toMatchObject(rules);
  });

  it.each([
    ["no address of the API", "openhands.apiBaseUrl=", "apiBaseUrl"],
    ["a value that there is not", "replica=3", "replica"],
    ["a setting with a name of no kind", "settings.FOO=1", "FOO"],
  ])("refuses %s", async (_, set, named) => {
    await expect(render([set])).rejects.toThrow(named);
  });
});

async function lint(set: readonly string[]): Promise<Printed> {
  if (helm === null) throw new Error("there is no helm");
  return await helm(["lint", CHART, "--strict", ...flags(set)]);
}

function flags(set: readonly string[]): readonly string[] {
  return [URL_SET, ...set].flatMap((value) => ["--set", value]);
}

function textOf(...path: readonly string[]): string {
  return readFileSync(join(ROOT, "deploy", ...path), "utf8");
}

function render(set: readonly string[]): Promise<readonly Manifest[]> {
  return template(flags(set));
}

async function template(options: readonly string[]): Promise<readonly Manifest[]> {
  if (helm === null) throw new Error("there is no helm");
  const version = ["--kube-version", "1.32.0"];
  const { stdout } = await helm(["template", "run-watchdog", CHART, ...version, ...options]);
  return parseAllDocuments(stdout).map((document) => document.toJS() as Manifest);
}
