/**
 * The picture of the rooms as lines of Mermaid: within `watchdog/` and `io/` every room with its arrows, everything else,
 * and what leads from one top room to another, by top rooms. More would be too much for one picture.
 */
import { arrowsBetween, type Imports, roomSizes, TOP, topRoomOf } from "./rooms.ts";

const OPEN = ["watchdog", "io"];

/** Without indentation and without order; `subgraph` lines are followed by their rooms and `end`. */
export function linesOf(imports: Imports): readonly string[] {
  const rooms = [...new Set([...roomSizes(imports).keys()].map(shownAs))].sort();
  const tops = [...new Set(rooms.map(topRoomOf))];
  const arrows = [
    ...arrowsBetween(imports, topRoomOf).map(({ from, to }) => `${outer(from)} --> ${outer(to)}`),
    ...OPEN.flatMap((top) => arrowsInside(imports, top)),
  ];
  return [
    ...tops.flatMap((top) =>
      OPEN.includes(top)
        ? [
            `subgraph ${outer(top)}["${top}/"]`,
            ...rooms.filter((room) => topRoomOf(room) === top).map(node),
            "end",
          ]
        : [node(top)],
    ),
    ...arrows.sort(),
  ];
}

/** The lines of the first Mermaid block of a document that say something about rooms. */
export function linesIn(markdown: string): readonly string[] {
  const [, block = ""] = /```mermaid\n([\s\S]*?)```/.exec(markdown) ?? [];
  return block
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("flowchart ") && !line.startsWith("%%"));
}

/** What has to be done to the picture; empty when it is true. */
export function differences(shown: readonly string[], real: readonly string[]): readonly string[] {
  return [
    ...real.filter((line) => !shown.includes(line)).map((line) => `add    ${line}`),
    ...shown.filter((line) => !real.includes(line)).map((line) => `remove ${line}`),
  ];
}

function shownAs(room: string): string {
  const depth = OPEN.includes(topRoomOf(room)) ? 2 : 1;
  return room.split("/").slice(0, depth).join("/");
}

function arrowsInside(imports: Imports, top: string): readonly string[] {
  return arrowsBetween(imports, shownAs)
    .filter(({ from, to }) => topRoomOf(from) === top && topRoomOf(to) === top)
    .map(({ from, to }) => `${id(from)} --> ${id(to)}`);
}

/** A folder may hold files and rooms: the box around the rooms has another name than the files. */
function outer(top: string): string {
  return OPEN.includes(top) ? `all_${id(top)}` : id(top);
}

function node(room: string): string {
  return `${id(room)}["${room === TOP ? "src/*.ts" : room}"]`;
}

function id(room: string): string {
  return room.replaceAll(/\W/g, "_");
}
