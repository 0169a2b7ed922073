/** The process was asked to stop. The reason of the abort that reaches everything. */
export class StopRequestedError extends Error {
  override readonly name = "StopRequestedError";
  readonly signal: "SIGTERM" | "SIGINT";

  constructor(signal: "SIGTERM" | "SIGINT") {
    super(`stopped by ${signal}`);
    this.signal = signal;
  }
}
