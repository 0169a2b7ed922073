import { arch, availableParallelism, cpus, platform, totalmem } from "node:os";
import process from "node:process";

/** What the figures were measured on. */
export interface Machine {
  readonly cores: number;
  readonly cpu: string;
  readonly memoryMb: number;
  readonly system: string;
  readonly node: string;
  /** `PostgreSQL 18.4 (embedded)` */
  readonly postgres: string;
  /** `null` where none was needed. */
  readonly redis: string | null;
}

export function machineWith(postgres: string, redis: string | null): Machine {
  return {
    cores: availableParallelism(),
    cpu: cpus()[0]?.model.trim() ?? "unknown",
    memoryMb: Math.round(totalmem() / 1024 / 1024),
    system: `${platform()} ${arch()}`,
    node: process.version,
    postgres,
    redis,
  };
}
