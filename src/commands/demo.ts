import type { DemoCommand } from "../cli.ts";
import { FEWEST_RUNS, MOST_RUNS } from "../demo/cast.ts";
import { EpilogueOptions, epilogue } from "../demo/epilogue.ts";
import { PostgresMissingError } from "../demo/postgres-binaries.ts";
import { openScreen } from "../demo/screen.ts";
import { LIVE_LINES, tellStory } from "../demo/story.ts";
import { StopRequestedError } from "../watchdog/stop.ts";
import type { Surroundings } from "./surroundings.ts";
