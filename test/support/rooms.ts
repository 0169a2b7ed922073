/** The rooms of a source tree, the folders that hold TypeScript files, and the imports that lead from one to another. */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";

/** Path below `src/` to the paths that the file imports, also below `src/`. Imports from elsewhere are left out. */
export type Imports = ReadonlyMap<string, readonly string[]>;

/** The room of the files that stand in `src/` itself. */
export const TOP = "src";

export function readImports(src: string): Imports {
  const files = readdirSync(src, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .sort();
  return new Map(
    files.map((file) => {
      const targets = importedBy(readFileSync(join(src, file), "utf8"));
      const inside = targets
        .map((target) => relative(src, resolve(src, dirname(file), target)))
        .filter((target) => !target.startsWith(".."));
      return [file, inside];
    }),
  );
}

function importedBy(text: string): readonly string[] {
  const found = text.matchAll(
    /^(?:import|export)\b[^;]*?from\s+"(\.[^"]+)"|^import\s+"(\.[^"]+)"|\bimport\("(\.[^"]+)"\)/gm,
  );
  return Array.from(found, ([, from, bare, dynamic]) => from ?? bare ?? dynamic ?? "");
}

export function roomOf(file: string): string {
  const room = dirname(file);
  return room === "." ? TOP : room;
}

/** The folder right below `src/` in which a room lies. */
export function topRoomOf(room: string): string {
  const [top = room] = room.split("/");
  return top;
}

/** How many files each room holds. */
export function roomSizes(imports: Imports): ReadonlyMap<string, number> {
  const sizes = new Map<string, number>();
  for (const file of imports.keys()) sizes.set(roomOf(file), (sizes.get(roomOf(file)) ?? 0) + 1);
  return sizes;
}

/** An import that leads from one room into another. */
export interface Arrow {
  readonly from: string;
  readonly to: string;
  /** `a/x.ts imports b/y.ts`: one of the imports that make it. */
  readonly example: string;
}

/** One arrow per pair of rooms. */
export function arrowsBetween(
  imports: Imports,
  name: (room: string) => string = (room) => room,
): readonly Arrow[] {
  const arrows = new Map<string, Arrow>();
  for (const [file, targets] of imports) {
    for (const target of targets) {
      const [from, to] = [name(roomOf(file)), name(roomOf(target))];
      const key = `${from} ${to}`;
      if (from === to || arrows.has(key)) continue;
      arrows.set(key, { from, to, example: `${file} imports ${target}` });
    }
  }
  return [...arrows.values()];
}

/** Every circle is found through one of its arrows: from its end there is a way back to its beginning. */
export function circlesIn(arrows: readonly Arrow[]): readonly Arrow[] {
  return arrows.filter(({ from, to }) => reachableFrom(to, arrows).has(from));
}

function reachableFrom(start: string, arrows: readonly Arrow[]): ReadonlySet<string> {
  const reached = new Set([start]);
  // A set that grows while it is walked is walked to its new end.
  for (const room of reached) {
    for (const { from, to } of arrows) if (from === room) reached.add(to);
  }
  return reached;
}

/** Arrows between top rooms for which `layers` has no place; a room that it does not name may import nothing. */
export function forbiddenArrows(
  imports: Imports,
  layers: Readonly<Record<string, readonly string[]>>,
): readonly Arrow[] {
  return arrowsBetween(imports, topRoomOf).filter(
    ({ from, to }) => !(layers[from] ?? []).includes(to),
  );
}
