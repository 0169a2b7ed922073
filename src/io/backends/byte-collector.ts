const FIRST_BYTES = 4 * 1024;

/**
 * Joins chunks as they come. A list of chunks would cost a hundred bytes for each, and a hostile server can send
 * millions of chunks of one byte.
 */
export class ByteCollector {
  readonly #maxBytes: number;
  #bytes = Buffer.alloc(0);
  #size = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get size(): number {
    return this.#size;
  }

  /** What was collected, not copied. */
  get bytes(): Buffer {
    return this.#bytes.subarray(0, this.#size);
  }

  /** False when the chunk does not fit any more; nothing is kept of it. */
  add(chunk: Uint8Array): boolean {
    const size = this.#size + chunk.length;
    if (size > this.#maxBytes) return false;
    if (size > this.#bytes.length) this.#growTo(size);
    this.#bytes.set(chunk, this.#size);
    this.#size = size;
    return true;
  }

  #growTo(size: number): void {
    const wanted = Math.max(FIRST_BYTES, this.#bytes.length * 2, size);
    const grown = Buffer.allocUnsafe(Math.min(wanted, this.#maxBytes));
    this.bytes.copy(grown);
    this.#bytes = grown;
  }
}
