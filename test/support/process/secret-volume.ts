/** Files with secrets, replaced as Kubernetes does it: what a pod sees are links, and one of them is swapped. */
import { randomBytes } from "node:crypto";
import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

type Secrets = Readonly<Record<string, string>>;

export class SecretVolume implements AsyncDisposable {
  readonly #folder: string;
  #current: string | null = null;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  static async create(secrets: Secrets): Promise<SecretVolume> {
    const volume = new SecretVolume(await mkdtemp(join(tmpdir(), "run-watchdog-secrets-")));
    for (const name of Object.keys(secrets)) {
      await symlink(join("..data", name), volume.path(name));
    }
    await volume.swap(secrets);
    return volume;
  }

  path(name: string): string {
    return join(this.#folder, name);
  }

  /** `<NAME>_FILE` for each of the names. */
  env(...names: readonly string[]): Readonly<Record<string, string>> {
    return Object.fromEntries(names.map((name) => [`${name}_FILE`, this.path(name)]));
  }

  /** All secrets at once; one that is left out is missing from then on. */
  async swap(secrets: Secrets): Promise<void> {
    const next = `..${randomBytes(6).toString("hex")}`;
    await mkdir(join(this.#folder, next));
    for (const [name, value] of Object.entries(secrets)) {
      await writeFile(join(this.#folder, next, name), value);
    }
    await symlink(next, join(this.#folder, "..data_tmp"));
    await rename(join(this.#folder, "..data_tmp"), join(this.#folder, "..data"));
    if (this.#current !== null) await rm(join(this.#folder, this.#current), { recursive: true });
    this.#current = next;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true });
  }
}
