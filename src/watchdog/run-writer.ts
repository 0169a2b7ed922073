import { planCleanup } from "../rules/cleanup-plan.ts";
import { summarise } from "../rules/evidence-summary.ts";
import type { Basis, Evidence, RunSnapshot, Verdict } from "../rules/model.ts";
import type { Fence } from "./ports.ts";
import { type Settled, settle } from "./settle.ts";
import type { DeferWrite, TerminalWrite } from "./store-ports.ts";
import type { SweepDeps, SweepOptions, SweepTerm } from "./sweep-model.ts";

export type TerminalVerdict = Extract<Verdict, { kind: "complete" | "fail" }>;

/** The two things a sweep writes about a run: it ends, or it stays RUNNING with a later deadline. */
export class RunWriter {
  readonly #deps: SweepDeps;
  readonly #options: SweepOptions;
  readonly #term: SweepTerm;

  constructor(deps: SweepDeps, options: SweepOptions, term: SweepTerm) {
    this.#deps = deps;
    this.#options = options;
    this.#term = term;
  }

  async end(
    run: RunSnapshot,
    verdict: TerminalVerdict,
    evidence: Evidence,
    signal: AbortSignal,
  ): Promise<Settled> {
    const { store, onProgress } = this.#deps;
    const { holder, trigger } = this.#term;
    const { basis } = verdict;
    const fence = endingWith(this.#term.fence, signal);
    const write = {
      run,
      verdict,
      evidence: summarise(evidence),
      holder,
      trigger,
      ...this.#cleanup(basis),
      overrideReason: basis === "presumption" ? this.#options.overrideReason : null,
    };
    const settled = await settle(store, run, fence, true, () => store.apply(write, fence));
    onProgress();
    return settled;
  }

  async leave(write: DeferWrite, signal: AbortSignal): Promise<Settled> {
    const { store, onProgress } = this.#deps;
    const fence = endingWith(this.#term.fence, signal);
    const settled = await settle(store, write.run, fence, false, () => store.defer(write, fence));
    onProgress();
    return settled;
  }

  #cleanup(basis: Basis): Pick<TerminalWrite, "cleanupInMs" | "deletionInMs"> {
    const { backend } = this.#deps;
    if (!backend.cleans) return { cleanupInMs: null, deletionInMs: null };
    return planCleanup(basis, this.#options, backend.pause !== undefined);
  }
}

/** A write by one run must not start after another run of the same sweep was fenced or found the database gone. */
function endingWith(fence: Fence, signal: AbortSignal): Fence {
  return {
    epoch: fence.epoch,
    check() {
      signal.throwIfAborted();
      fence.check();
    },
  };
}
