/** What workers and people tell all workers of an installation. The promises of ports.ts hold here as well. */
import type { Pause } from "../rules/fleet/pause.ts";
import type { Fence, LeaseKind } from "./ports.ts";

export interface PauseRequest {
  readonly forMs: number;
  readonly reason: string;
  readonly by: string;
}

/** A worker as it describes itself. */
export interface WorkerIntroduction {
  /** `host/pid/random`. */
  readonly holder: string;
  readonly version: string;
  /** Of the configuration, without secrets. */
  readonly fingerprint: string;
  readonly leaseKind: LeaseKind;
  readonly shards: number;
  /** How long it has been running. */
  readonly upMs: number;
}

/** As the database's clock has it. */
export interface SeenWorker extends WorkerIntroduction {
  readonly seenAgoMs: number;
}

export interface Fleet {
  /**
   * Nobody begins a sweep for so long, and a sweep under way writes no more: a newer epoch is taken away from it. In the
   * journal of pauses; replaces an earlier pause.
   */
  pause(request: PauseRequest): Promise<Pause>;
  /** Ends a pause before its time, in the journal of pauses. The pause that was in force; `null` for none. */
  resume(by: string): Promise<Pause | null>;
  /** Lists the worker. Does nothing where the database user may not: no work depends on it. */
  seen(worker: WorkerIntroduction): Promise<void>;
  /** A worker that stops in order is not listed any more. Under the same condition. */
  left(holder: string): Promise<void>;
  /** Those that were seen last come first. */
  workers(): Promise<readonly SeenWorker[]>;
  /** Removes workers that were not seen for so long. Returns how many. */
  forgetWorkers(notSeenForMs: number, fence: Fence): Promise<number>;
}
