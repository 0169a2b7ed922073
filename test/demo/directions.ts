/**
 * What happens between the fake host's lines: who is kept waiting, and which callbacks and cancels fall right between a
 * watchdog's question and its write. Everything hangs on requests that arrive, nothing on luck; only who wins neck and neck
 * is left open.
 */
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { cancelRun, completeRun, type HostAnswer } from "../fake-host/callback.ts";
import { html, type Reply } from "../fake-host/fake-host-model.ts";
import type { Player } from "./cast.ts";
import type { RoleName } from "./roles.ts";
import { LATENCY_MS, type Stage, TIMING } from "./stage.ts";

/** A row that somebody forgot to let go. */
const HOLD_AT_MOST_MS = 10_000;

/** A callback or cancel, and what the host answered. */
export interface HostWrite {
  readonly player: Player;
  readonly status: "COMPLETED" | "CANCELLED";
  readonly conversationId: string | null;
  readonly answer: HostAnswer;
  /** From its first statement to its commit; `null` when it held the row on purpose. */
  readonly tookMs: number | null;
}

export class Directions implements AsyncDisposable {
  readonly #stage: Stage;
  readonly #bySandbox: ReadonlyMap<string, Player>;
  readonly #curtain = Promise.withResolvers<void>();
  #curtainIsUp = false;
  #waiting = 0;
  #letGo = Promise.withResolvers<void>();
  readonly #played = new Set<Player>();
  readonly #running = new Set<Promise<void>>();
  readonly #writes: HostWrite[] = [];
  readonly #problems: unknown[] = [];
  readonly #removeInterceptor: () => void;

  constructor(stage: Stage) {
    this.#stage = stage;
    this.#bySandbox = new Map(
      stage.players.map((player) => [player.run.sandboxId ?? player.run.id, player]),
    );
    this.#removeInterceptor = stage.host.intercept(({ kind, sandboxId }) => {
      const player = this.#bySandbox.get(sandboxId ?? "");
      return kind === "events" && player !== undefined ? this.#answer(player) : undefined;
    });
  }

  get writes(): readonly HostWrite[] {
    return this.#writes;
  }

  /** The first leader has done what it can, and waits for answers that are held back. */
  get leaderIsStuck(): boolean {
    const held = this.#stage.players.filter((player) => player.held).length;
    const expected = Math.min(held, TIMING.concurrency);
    const { traffic } = this.#stage.host;
    return (
      this.#waiting >= expected &&
      traffic.of("events").inFlight === expected &&
      traffic.of("all").inFlight === expected
    );
  }

  /** From now on nobody is kept waiting, and the callbacks and cancels come. */
  raiseCurtain(): void {
    this.#curtainIsUp = true;
    this.#curtain.resolve();
  }

  /** Those who hold a row commit. */
  letGo(): void {
    this.#letGo.resolve();
    this.#letGo = Promise.withResolvers();
  }

  /** A success that comes after the run was presumed dead. */
  async completeLate(player: Player): Promise<void> {
    if (this.#played.has(player)) return;
    this.#played.add(player);
    await this.#complete(player);
  }

  /** @throws what went wrong in a callback or cancel. */
  check(): void {
    for (const problem of this.#problems) throw problem;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.raiseCurtain();
    this.#removeInterceptor();
    this.letGo();
    await Promise.all(this.#running);
  }

  async #answer(player: Player): Promise<Reply | undefined> {
    if (player.held && !this.#curtainIsUp) {
      this.#waiting += 1;
      await this.#curtain.promise;
      // Whoever asked is not there any more.
      return "reset";
    }
    if (player.role === "bad gateway") return html(502, "Bad Gateway");
    if (CUES.has(player.role) && !this.#played.has(player)) {
      this.#played.add(player);
      await this.#perform(player);
    }
    return undefined;
  }

  /** Comes back when the watchdog may have its answer. */
  async #perform(player: Player): Promise<void> {
    switch (player.role) {
      case "callback":
        return this.#complete(player);
      case "cancel":
        return this.#cancel(player);
      case "busy":
        return this.#completeSlowly(player);
      case "neck and neck":
        // Sets out when the answer does.
        this.#background(sleep(LATENCY_MS).then(() => this.#complete(player)));
        return;
      default:
        return;
    }
  }

  async #complete(player: Player): Promise<void> {
    const conversationId = randomUUID();
    const startedAt = performance.now();
    const answer = await completeRun(this.#stage.sql, {
      runId: player.run.id,
      status: "COMPLETED",
      conversationId,
    });
    const tookMs = performance.now() - startedAt;
    this.#writes.push({ player, status: "COMPLETED", conversationId, answer, tookMs });
  }

  async #cancel(player: Player): Promise<void> {
    const startedAt = performance.now();
    const answer = await cancelRun(this.#stage.sql, player.run.id);
    const tookMs = performance.now() - startedAt;
    this.#writes.push({ player, status: "CANCELLED", conversationId: null, answer, tookMs });
  }

  /** Has written the row when it comes back, and commits when it is told to. */
  async #completeSlowly(player: Player): Promise<void> {
    const locked = Promise.withResolvers<void>();
    const conversationId = randomUUID();
    const hold = async () => {
      const { promise: letGo } = this.#letGo;
      locked.resolve();
      const patience = new AbortController();
      const enough = sleep(HOLD_AT_MOST_MS, undefined, { signal: patience.signal });
      await Promise.race([letGo, enough.catch(() => undefined)]);
      patience.abort();
    };
    const completion = { runId: player.run.id, status: "COMPLETED", conversationId, hold } as const;
    const writing = completeRun(this.#stage.sql, completion).then((answer) => {
      this.#writes.push({ player, status: "COMPLETED", conversationId, answer, tookMs: null });
    });
    this.#background(writing);
    await Promise.race([locked.promise, writing]);
  }

  #background(work: Promise<void>): void {
    const guarded = work
      .catch((error: unknown) => void this.#problems.push(error))
      .finally(() => this.#running.delete(guarded));
    this.#running.add(guarded);
  }
}

const CUES: ReadonlySet<RoleName> = new Set(["callback", "cancel", "busy", "neck and neck"]);
