import type { EnvReader } from "./env-reader.ts";

/** pino's shape. */
export interface WarnLog {
  warn(fields: object, message: string): void;
}

/**
 * A part of the configuration with secrets in it. Those in files may be replaced while the worker runs; what comes from
 * plain variables stays as it was at the start. Prints as nothing, so that no secret leaves by accident.
 */
export class ReloadableSecret<T> {
  readonly #reader: EnvReader;
  readonly #read: (reader: EnvReader) => T;
  #current: T;
  #warned = false;

  /** What is wrong at the start becomes a problem of `reader`. */
  constructor(reader: EnvReader, read: (reader: EnvReader) => T) {
    this.#reader = reader;
    this.#read = read;
    this.#current = read(reader);
  }

  /** As last read. */
  get current(): T {
    return this.#current;
  }

  /**
   * Reads the files anew. What cannot be read or understood, as in the middle of a rotation, changes nothing and is said
   * once until it can be again. Never throws.
   */
  refresh(log: WarnLog): T {
    const reader = this.#reader.again();
    const value = this.#read(reader);
    const { problems } = reader;
    if (problems.length === 0) this.#current = value;
    else if (!this.#warned) {
      log.warn({ problems }, "a secret cannot be read anew, going on with the one read before");
    }
    this.#warned = problems.length > 0;
    return this.#current;
  }
}
