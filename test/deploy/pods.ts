/** What manifests run, and how. */
import { SETTINGS } from "../../src/config/env/settings.ts";
import type { Manifest } from "./manifest-types.ts";

export interface Container {
  readonly name: string;
  readonly image: string;
  readonly env?: readonly { readonly name: string; readonly value?: string }[];
  readonly resources?: object;
  readonly securityContext?: SecurityContext;
}

export interface Pod {
  readonly initContainers?: readonly Container[];
  readonly containers?: readonly Container[];
  readonly securityContext?: SecurityContext;
}

interface SecurityContext {
  readonly runAsNonRoot?: boolean;
  readonly allowPrivilegeEscalation?: boolean;
  readonly readOnlyRootFilesystem?: boolean;
  readonly capabilities?: { readonly drop?: readonly string[] };
  readonly seccompProfile?: { readonly type?: string };
}

/** Of a Deployment or a CronJob; of anything else none. */
export function podsOf(manifest: Manifest): readonly Pod[] {
  const { template, jobTemplate } = Object(Reflect.get(manifest, "spec"));
  const spec: unknown = (template ?? jobTemplate?.spec?.template)?.spec;
  return typeof spec === "object" && spec !== null ? [spec] : [];
}

/** The names of those that may do more than a worker needs. */
export function looseContainers(pod: Pod): readonly string[] {
  const all = [...(pod.initContainers ?? []), ...(pod.containers ?? [])];
  return all
    .filter(({ securityContext }) => {
      const context = { ...pod.securityContext, ...securityContext };
      return !(
        context.runAsNonRoot === true &&
        context.allowPrivilegeEscalation === false &&
        context.readOnlyRootFilesystem === true &&
        context.capabilities?.drop?.includes("ALL") === true &&
        context.seccompProfile?.type === "RuntimeDefault"
      );
    })
    .map(({ name }) => name);
}

/** Variables that the worker does not know, in ConfigMaps and containers of ours. */
export function unknownSettings(manifest: Manifest): readonly string[] {
  const data = manifest.kind === "ConfigMap" ? Object(Reflect.get(manifest, "data")) : {};
  const containers = podsOf(manifest).flatMap((pod) => [
    ...(pod.initContainers ?? []),
    ...(pod.containers ?? []),
  ]);
  const env = containers.flatMap((container) => container.env?.map(({ name }) => name) ?? []);
  return [...Object.keys(data), ...env].filter((name) => !Object.hasOwn(SETTINGS, name));
}
