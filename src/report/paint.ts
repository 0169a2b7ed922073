import { styleText } from "node:util";

export type Tone = "good" | "look" | "bad" | "quiet";

/** Colours a text, or leaves it as it is. */
export type Paint = (tone: Tone, text: string) => string;

export const plain: Paint = (_tone, text) => text;

const COLOURS = { good: "green", look: "yellow", bad: "red", quiet: "gray" } as const;

/** Whether the stream takes colours has been decided, see `wantsColours`. */
export const coloured: Paint = (tone, text) =>
  styleText(COLOURS[tone], text, { validateStream: false });
