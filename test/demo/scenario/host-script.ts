/**
 * What the host does while the watchdogs sweep: whose answers it withholds, and which callbacks and cancels fall right
 * between a watchdog's question and its write. All of it is set off by requests that arrive, nothing by luck; only who
 * is first with a simultaneous callback is left open.
 */
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { cancelRun, completeRun, type HostAnswer } from "../../fake-host/callback.ts";
import { html, type Reply } from "../../fake-host/model.ts";
import { type DemoEnvironment, LATENCY_MS, TIMING } from "./environment.ts";
import type { KindName } from "./run-kinds.ts";
import type { DemoRun } from "./runs.ts";

/** Of a slow callback, should no sweep end before. */
const LOCKED_AT_MOST_MS = 10_000;

/** A callback or cancel, and what the host answered. */
export interface HostWrite {
  readonly run: DemoRun;
  readonly status: "COMPLETED" | "CANCELLED";
  readonly conversationId: string | null;
  readonly answer: HostAnswer;
  /** From its first statement to its commit; `null` when it was slow on purpose. */
  readonly tookMs: number | null;
}

export class HostScript implements AsyncDisposable {
  readonly #environment: DemoEnvironment;
  readonly #bySandbox: ReadonlyMap<string, DemoRun>;
  readonly #answers = Promise.withResolvers<void>();
  #answersAreReleased = false;
  #withheld = 0;
  #commit = Promise.withResolvers<void>();
  readonly #written = new Set<DemoRun>();
  readonly #background = new Set<Promise<void>>();
  readonly #writes: HostWrite[] = [];
  readonly #problems: unknown[] = [];
  readonly #removeInterceptor: () => void;

  constructor(environment: DemoEnvironment) {
    this.#environment = environment;
    this.#bySandbox = new Map(environment.runs.map((run) => [run.sandboxId ?? run.id, run]));
    this.#removeInterceptor = environment.host.intercept(({ kind, sandboxId }) => {
      const run = this.#bySandbox.get(sandboxId ?? "");
      return kind === "events" && run !== undefined ? this.#answer(run) : undefined;
    });
  }

  get writes(): readonly HostWrite[] {
    return this.#writes;
  }

  /** The first leader has done what it can, and waits for answers that are withheld. */
  get leaderWaits(): boolean {
    const unanswered = this.#environment.runs.filter((run) => run.unanswered).length;
    const expected = Math.min(unanswered, TIMING.concurrency);
    const { traffic } = this.#environment.host;
    return (
      this.#withheld >= expected &&
      traffic.of("events").inFlight === expected &&
      traffic.of("all").inFlight === expected
    );
  }

  /** From now on no answer is withheld, and the callbacks and cancels come. */
  releaseAnswers(): void {
    this.#answersAreReleased = true;
    this.#answers.resolve();
  }

  /** Lets slow callbacks commit. */
  commit(): void {
    this.#commit.resolve();
    this.#commit = Promise.withResolvers();
  }

  /** A success that comes after the run was presumed dead. */
  async completeLate(run: DemoRun): Promise<void> {
    if (this.#written.has(run)) return;
    this.#written.add(run);
    await this.#complete(run);
  }

  /** @throws what went wrong in a callback or cancel. */
  check(): void {
    for (const problem of this.#problems) throw problem;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.releaseAnswers();
    this.#removeInterceptor();
    this.commit();
    await Promise.all(this.#background);
  }

  async #answer(run: DemoRun): Promise<Reply | undefined> {
    if (run.unanswered && !this.#answersAreReleased) {
      this.#withheld += 1;
      await this.#answers.promise;
      // Whoever asked is not there any more.
      return "reset";
    }
    if (run.kind === "bad gateway") return html(502, "Bad Gateway");
    if (WRITE_BEFORE_ANSWER.has(run.kind) && !this.#written.has(run)) {
      this.#written.add(run);
      await this.#write(run);
    }
    return undefined;
  }

  /** Comes back when the watchdog may have its answer. */
  async #write(run: DemoRun): Promise<void> {
    switch (run.kind) {
      case "callback":
        return this.#complete(run);
      case "cancel":
        return this.#cancel(run);
      case "slow callback":
        return this.#completeSlowly(run);
      case "simultaneous callback":
        // Sets out when the answer does.
        this.#inBackground(sleep(LATENCY_MS).then(() => this.#complete(run)));
        return;
      default:
        return;
    }
  }

  async #complete(run: DemoRun): Promise<void> {
    const conversationId = randomUUID();
    const startedAt = performance.now();
    const answer = await completeRun(this.#environment.sql, {
      runId: run.id,
      status: "COMPLETED",
      conversationId,
    });
    const tookMs = performance.now() - startedAt;
    this.#writes.push({ run, status: "COMPLETED", conversationId, answer, tookMs });
  }

  async #cancel(run: DemoRun): Promise<void> {
    const startedAt = performance.now();
    const answer = await cancelRun(this.#environment.sql, run.id);
    const tookMs = performance.now() - startedAt;
    this.#writes.push({ run, status: "CANCELLED", conversationId: null, answer, tookMs });
  }

  /** Has written the row when it comes back, and commits when it is told to. */
  async #completeSlowly(run: DemoRun): Promise<void> {
    const locked = Promise.withResolvers<void>();
    const conversationId = randomUUID();
    const hold = async () => {
      const { promise: told } = this.#commit;
      locked.resolve();
      const patience = new AbortController();
      const enough = sleep(LOCKED_AT_MOST_MS, undefined, { signal: patience.signal });
      await Promise.race([told, enough.catch(() => undefined)]);
      patience.abort();
    };
    const completion = { runId: run.id, status: "COMPLETED", conversationId, hold } as const;
    const writing = completeRun(this.#environment.sql, completion).then((answer) => {
      this.#writes.push({ run, status: "COMPLETED", conversationId, answer, tookMs: null });
    });
    this.#inBackground(writing);
    await Promise.race([locked.promise, writing]);
  }

  #inBackground(work: Promise<void>): void {
    const guarded = work
      .catch((error: unknown) => void this.#problems.push(error))
      .finally(() => this.#background.delete(guarded));
    this.#background.add(guarded);
  }
}

const WRITE_BEFORE_ANSWER: ReadonlySet<KindName> = new Set([
  "callback",
  "cancel",
  "slow callback",
  "simultaneous callback",
]);
