/** The longest time Node’s setTimeout takes; a longer one would fire at once. */
export const longestTimerMs = 2 ** 31 - 1;

const startedNs = process.hrtime.bigint();
let last = 0n;

/** Nanoseconds since 1970, never the same twice and never backwards in one process (event order relies on it). */
export function nowNanoseconds(): bigint {
  // The wall clock leads, so that a step of it is followed; the high-resolution clock fills in below the millisecond.
  const fine = (process.hrtime.bigint() - startedNs) % 1_000_000n;
  let now = BigInt(Date.now()) * 1_000_000n + (fine < 0n ? 0n : fine);
  if (now <= last && last - now < 2_000_000n) now = last + 1n;
  last = now;
  return now;
}

/** RFC 3339 with nine digits in UTC, as Docker prints times. */
export function formatNanoseconds(ns: bigint): string {
  const milliseconds = Number(ns / 1_000_000n);
  const fraction = String(ns % 1_000_000_000n).padStart(9, '0');
  return `${new Date(milliseconds).toISOString().slice(0, 19)}.${fraction}Z`;
}

/** The present time, RFC 3339 with nine digits. */
export function now(): string {
  return formatNanoseconds(nowNanoseconds());
}

/** Milliseconds as RFC 3339 with nine digits. */
export function formatMilliseconds(milliseconds: number): string {
  return formatNanoseconds(BigInt(Math.round(milliseconds * 1000)) * 1000n);
}
