/**
 * One request and its answer, read as it comes. undici's own `request` makes a stream of each body, which costs more than
 * everything else about a small answer.
 */
import type { Dispatcher } from "undici";

/** What becomes of an answer's body, piece by piece. */
export interface BodyReader {
  onPiece(piece: Uint8Array): void;
  onEnd(): void;
  /** When it breaks off; without this the exchange fails. */
  onBreak?(): void;
}

/**
 * Decides by its head what becomes of an answer. `settle` says what it comes to; the rest is not read then, and unless it
 * has ended its connection is closed.
 */
export type ReadAnswer<T> = (
  status: number,
  headers: Headers,
  settle: (value: T) => void,
) => BodyReader;

export type Headers = Readonly<Record<string, string | readonly string[] | undefined>>;

export interface Exchange<T> {
  readonly request: Pick<Dispatcher.DispatchOptions, "origin" | "path" | "method" | "body"> & {
    readonly headers: Readonly<Record<string, string>>;
  };
  readonly read: ReadAnswer<T>;
  /** Called for each interim answer; what it throws ends the exchange. */
  readonly onInterim?: () => void;
}

/**
 * Rejects with `signal.reason` when the signal aborts, with what `onInterim` throws, and with undici's error when the
 * answer breaks off or never begins.
 */
export function exchange<T>(
  dispatcher: Pick<Dispatcher, "dispatch">,
  { request, read, onInterim = () => {} }: Exchange<T>,
  signal: AbortSignal,
): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    signal.throwIfAborted();
    const handler = new Handler(read, onInterim, resolve, reject);
    signal.addEventListener("abort", () => handler.fail(signal.reason), { once: true });
    dispatcher.dispatch({ ...request }, handler);
  });
}

class Handler<T> implements Dispatcher.DispatchHandler {
  readonly #read: ReadAnswer<T>;
  readonly #onInterim: () => void;
  readonly #resolve: (value: T) => void;
  readonly #reject: (error: unknown) => void;
  #controller: Dispatcher.DispatchController | null = null;
  #body: BodyReader | null = null;
  #isOver = false;

  constructor(
    read: ReadAnswer<T>,
    onInterim: () => void,
    resolve: (value: T) => void,
    reject: (error: unknown) => void,
  ) {
    this.#read = read;
    this.#onInterim = onInterim;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  fail(error: unknown): void {
    if (this.#isOver) return;
    this.#reject(error);
    this.#stop();
    // What it waits for is over as well.
    this.#body?.onBreak?.();
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#isOver) controller.abort(NOT_READ);
  }

  onResponseStart(_: Dispatcher.DispatchController, status: number, headers: Headers): void {
    if (this.#isOver) return;
    if (status < 200) this.#interim();
    else this.#body = this.#read(status, headers, (value) => this.#settle(value));
  }

  onResponseData(_: Dispatcher.DispatchController, piece: Uint8Array): void {
    if (!this.#isOver) this.#body?.onPiece(piece);
  }

  onResponseEnd(): void {
    if (this.#isOver) return;
    // Nothing is left to be stopped.
    this.#controller = null;
    this.#body?.onEnd();
  }

  onResponseError(_: Dispatcher.DispatchController, error: Error): void {
    if (this.#isOver) return;
    this.#controller = null;
    if (this.#body?.onBreak === undefined) this.fail(error);
    else this.#body.onBreak();
  }

  #interim(): void {
    try {
      this.#onInterim();
    } catch (error) {
      this.fail(error);
    }
  }

  #settle(value: T): void {
    if (this.#isOver) return;
    this.#resolve(value);
    this.#stop();
  }

  #stop(): void {
    this.#isOver = true;
    this.#controller?.abort(NOT_READ);
  }
}

/** One for all: each error that is made costs a stack. */
const NOT_READ = new Error("the rest of the answer is not wanted");
