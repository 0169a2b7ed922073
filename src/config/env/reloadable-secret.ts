import type { EnvReader } from "./env-reader.ts";

/** pino's shape. */
export interface WarnLog {
  warn(fields: object, message: string): void;
}

/**
 * A part of the configuration with secrets in it. Those in files may be replaced while the worker runs; what comes from
 * plain variables stays as it was at the start. Prints as nothing, so that no secret leaves by accident.
 */
export interface ReloadableSecret<T> {
  /** As last read. */
  readonly current: T;
  /**
   * Reads the files again. What cannot be read or understood, as in the middle of a rotation, changes nothing and is
   * logged once until it can be again. Never throws.
   */
  refresh(log: WarnLog): T;
}

export class EnvSecret<T> implements ReloadableSecret<T> {
  readonly #read: (reader: EnvReader) => T;
  /** Of the last reading that found no problem. */
  #reader: EnvReader;
  #current: T;
  #warned = false;

  /** What is wrong at the start becomes a problem of `reader`. */
  constructor(reader: EnvReader, read: (reader: EnvReader) => T) {
    this.#read = read;
    this.#reader = reader.part();
    this.#current = read(this.#reader);
  }

  get current(): T {
    return this.#current;
  }

  refresh(log: WarnLog): T {
    const files = [...this.#reader.files];
    const isSame = files.every(([path, text]) => this.#reader.holds(path, text));
    const problems = isSame ? [] : this.#readAgain();
    if (problems.length > 0 && !this.#warned) {
      log.warn({ problems }, "a secret could not be reloaded, its previous value stays in use");
    }
    this.#warned = problems.length > 0;
    return this.#current;
  }

  #readAgain(): readonly string[] {
    const reader = this.#reader.again();
    const value = this.#read(reader);
    if (reader.problems.length === 0) {
      this.#current = value;
      this.#reader = reader;
    }
    return reader.problems;
  }
}
