/** What the image promises besides what it does: its size, its user, its health check. */
import type { Docker } from "./engine.ts";

const MIB = 1024 * 1024;
/** Over the base, which everybody has already. */
export const IMAGE_LIMIT_MIB = 5;
/** The first line of the Dockerfile that is ours and not the base's. */
const BEGINS = "ENV NODE_ENV=production";

export interface ImageFacts {
  readonly ownBytes: number;
  /** What is not as it should be; nothing when all is well. */
  readonly problems: readonly string[];
}

export async function inspectImage(docker: Docker, image: string): Promise<ImageFacts> {
  const history = [
    "history",
    "--no-trunc",
    "--human=false",
    "--format",
    "{{.Size}} {{.CreatedBy}}",
  ];
  const ownBytes = ownSize((await docker([...history, image])).stdout);
  const { stdout } = await docker(["image", "inspect", "--format", "{{json .Config}}", image]);
  const { User: user = "", Healthcheck: check = null } = JSON.parse(stdout);
  const problems = [
    ownBytes === null &&
      `wanted a layer with ${BEGINS}, found none: is it built from this Dockerfile?`,
    ownBytes !== null &&
      ownBytes > IMAGE_LIMIT_MIB * MIB &&
      `wanted at most ${IMAGE_LIMIT_MIB} MiB over the base, found ${mib(ownBytes)}: see what COPY brings along`,
    !/^[1-9]\d*(:\d+)?$/.test(user) &&
      `wanted a user by number, and not 0, found "${user}": Kubernetes cannot tell whether a name is root`,
    check === null && "wanted a HEALTHCHECK, found none",
  ];
  return { ownBytes: ownBytes ?? 0, problems: problems.filter((problem) => problem !== false) };
}

export function mib(bytes: number): string {
  return `${(bytes / MIB).toFixed(1)} MiB`;
}

/** The newest layer comes first; `null` when the base's cannot be told from ours. */
function ownSize(history: string): number | null {
  const layers = history.trim().split("\n");
  const first = layers.findIndex((layer) => layer.includes(BEGINS));
  if (first < 0) return null;
  return layers.slice(0, first).reduce((sum, layer) => sum + Number.parseInt(layer, 10), 0);
}
