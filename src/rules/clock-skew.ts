/**
 * How far another clock is ahead of ours, at least: what the time that the answer took cannot explain. Negative when it
 * is behind; 0 when the two may be the same.
 *
 * @param readsMs the other clock's time, and how much later it may have been: a clock that tells whole seconds, 1000.
 */
export function clockSkewMs(
  askedAtMs: number,
  answeredAtMs: number,
  readsMs: number,
  resolutionMs = 0,
): number {
  if (readsMs > answeredAtMs) return readsMs - answeredAtMs;
  const latestMs = readsMs + resolutionMs;
  return latestMs < askedAtMs ? latestMs - askedAtMs : 0;
}
