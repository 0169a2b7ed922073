import { getHeapStatistics, setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** What is to be called when memory that can be given back has piled up. Nothing runs by itself. */
export interface Collectors {
  /**
   * The young generation is full of buffers. They lie outside the heap and count for little when V8 decides by itself:
   * sixteen servers that flood the worker took 280 MB without this, and take 170 with it.
   */
  readonly onBulk: () => void;
  /**
   * There is nothing to do for a while. V8 keeps what it grew to, at the start and in a large sweep, until there is new
   * garbage, and an idle worker makes none: 86 MB without this, 72 with it.
   */
  readonly onRest: () => void;
}

/** The heap is collected at rest when it has grown by so much since. */
const GROWN_BY = 1.1;

export function heapCollectors(): Collectors {
  let collect: NodeJS.GCFunction | null = null;
  let restedBytes = 0;
  const collector = () => {
    collect ??= openCollector();
    return collect;
  };
  return {
    onBulk: () => collector()({ type: "minor" }),
    onRest() {
      if (heapBytes() < GROWN_BY * restedBytes) return;
      collector()({ type: "major", execution: "sync", flavor: "last-resort" });
      restedBytes = heapBytes();
    },
  };
}

function heapBytes(): number {
  return getHeapStatistics().total_heap_size;
}

function openCollector(): NodeJS.GCFunction {
  setFlagsFromString("--expose-gc");
  return runInNewContext("gc");
}
