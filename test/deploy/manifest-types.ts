/** Manifests held to the API of Kubernetes: unknown keys, missing ones and values of another kind. */
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const exec = promisify(execFile);
const MODULES = join(import.meta.dirname, "..", "..", "node_modules");
const TSC = join(MODULES, "typescript", "bin", "tsc");
const OPTIONS = ["--noEmit", "--strict", "--skipLibCheck", "--module", "nodenext", "--types", ""];

export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string };
}

/**
 * What is wrong with them, each as the compiler says it. The validators of kubernetes-models let unknown keys pass, its
 * types do not.
 */
export async function problemsOf(manifests: readonly Manifest[]): Promise<readonly string[]> {
  const folder = await mkdtemp(join(tmpdir(), "run-watchdog-manifests-"));
  try {
    const file = join(folder, "manifests.mts");
    const constants = manifests.map(
      (manifest, index) =>
        `export const m${index}: import("${modelOf(manifest)}").I${manifest.kind} = ${JSON.stringify(manifest)};\n`,
    );
    await writeFile(file, constants.join(""));
    return await complaints(file, folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

function modelOf({ apiVersion, kind }: Manifest): string {
  const isPrometheus = apiVersion.startsWith("monitoring.coreos.com/");
  const models = isPrometheus ? "@kubernetes-models/prometheus-operator" : "kubernetes-models";
  return join(MODULES, models, apiVersion, `${kind}.js`);
}

/** Elsewhere the compiler would ask what to do with a tsconfig.json that is there. */
async function complaints(file: string, cwd: string): Promise<readonly string[]> {
  try {
    await exec(process.execPath, [TSC, ...OPTIONS, file], { cwd });
    return [];
  } catch (error) {
    const said: unknown = Reflect.get(Object(error), "stdout");
    if (typeof said !== "string" || said === "") throw error;
    return said.trimEnd().split("\n");
  }
}
