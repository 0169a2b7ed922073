import { type ClockReading, clockProblem, skewMs } from "../clock-skew.ts";
import { type Check, ok, warning } from "./check.ts";

export function checkClock(link: string, whose: string, reading: ClockReading): Check {
  const problem = clockProblem(whose, skewMs(reading));
  return problem === null
    ? ok(link, `the clock of ${whose} agrees with ours`)
    : warning(link, problem);
}
