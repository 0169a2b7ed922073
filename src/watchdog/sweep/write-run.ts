import { planCleanup } from "../../rules/cleanup/cleanup-plan.ts";
import { summarise } from "../../rules/evidence.ts";
import type { Basis, Evidence, RunSnapshot, Verdict } from "../../rules/model.ts";
import { hardDeadline } from "../../rules/verdict.ts";
import type { Fence } from "../ports.ts";
import type { DeferWrite, TerminalWrite } from "../store-ports.ts";
import { LateWrites } from "./late-writes.ts";
import type { SweepDeps, SweepOptions, SweepTerm } from "./model.ts";
import { type ResolvedWrite, resolveWrite } from "./resolve-write.ts";

export type TerminalVerdict = Extract<Verdict, { kind: "complete" | "fail" }>;

/** What is said of a run that stays RUNNING. */
export type Leaving = Omit<DeferWrite, "shieldMs" | "notAfterMs">;

/** The two things a sweep writes about a run: it ends, or it stays RUNNING and is looked at again. */
export class RunWriter {
  readonly #deps: SweepDeps;
  readonly #options: SweepOptions;
  readonly #term: SweepTerm;
  readonly #late = new LateWrites();

  constructor(deps: SweepDeps, options: SweepOptions, term: SweepTerm) {
    this.#deps = deps;
    this.#options = options;
    this.#term = term;
  }

  /** @param check throws when the verdict may not be written any more; asked where the fence is, before each attempt. */
  async end(
    run: RunSnapshot,
    verdict: TerminalVerdict,
    evidence: Evidence,
    signal: AbortSignal,
    check: () => void = () => {},
  ): Promise<ResolvedWrite> {
    const { store, onProgress } = this.#deps;
    const { holder, trigger } = this.#term;
    const { basis } = verdict;
    const { fence } = this.#term;
    const write = {
      run,
      verdict,
      evidence: summarise(evidence),
      holder,
      trigger,
      ...this.#cleanup(basis),
      overrideReason: basis === "presumption" ? this.#options.overrideReason : null,
    };
    const resolved = await this.#late.resolveWrite(
      (apply) => resolveWrite(store, run, fence, true, apply),
      (late) => store.apply(write, endingWith(fence, signal, check, late)),
    );
    onProgress();
    return resolved;
  }

  async leave(leaving: Leaving, signal: AbortSignal): Promise<ResolvedWrite> {
    const { store, onProgress } = this.#deps;
    const { run } = leaving;
    const { fence } = this.#term;
    const write = { ...leaving, ...this.#lookAt(run) };
    const resolved = await this.#late.resolveWrite(
      (defer) => resolveWrite(store, run, fence, false, defer),
      (late) => store.defer(write, endingWith(fence, signal, late)),
    );
    onProgress();
    return resolved;
  }

  /** No look is put off beyond a hard deadline that is still to come: there the host counts on an end. */
  #lookAt(run: RunSnapshot): Pick<DeferWrite, "shieldMs" | "notAfterMs"> {
    const { policy, shieldMs } = this.#options;
    const hardDeadlineMs = hardDeadline(run, policy);
    const isAhead = hardDeadlineMs > this.#term.horizon.ms;
    return { shieldMs, notAfterMs: isAhead ? hardDeadlineMs : null };
  }

  #cleanup(basis: Basis): Pick<TerminalWrite, "cleanupInMs" | "deletionInMs"> {
    const { backend } = this.#deps;
    if (!backend.cleans) return { cleanupInMs: null, deletionInMs: null };
    return planCleanup(basis, this.#options, backend.pause !== undefined);
  }
}

/** A write by one run must not start after another run of the same sweep was fenced or found the database gone. */
function endingWith(fence: Fence, signal: AbortSignal, ...checks: readonly (() => void)[]): Fence {
  return {
    epoch: fence.epoch,
    check() {
      signal.throwIfAborted();
      fence.check();
      for (const check of checks) check();
    },
  };
}
