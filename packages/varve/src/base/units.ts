import { VarveError } from './errors.ts';

const decimalUnits = ['B', 'kB', 'MB', 'GB', 'TB', 'PB', 'EB', 'ZB', 'YB'];
const binaryUnits = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB', 'ZiB', 'YiB'];

function scale(bytes: number, base: number, units: readonly string[], digits: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= base && unit < units.length - 1) {
    value /= base;
    unit++;
  }
  return `${Number(value.toPrecision(digits))}${units[unit]}`;
}

/** Bytes as Docker prints image sizes: powers of 1000, three digits (`1.98MB`; go-units HumanSizeWithPrecision). */
export function formatBytes(bytes: number, digits = 3): string {
  return scale(bytes, 1000, decimalUnits, digits);
}

/** Bytes in powers of 1024, four digits (`1.5GiB`; go-units BytesSize). */
export function formatBinaryBytes(bytes: number): string {
  return scale(bytes, 1024, binaryUnits, 4);
}

/**
 * Reads a size such as `64m`, `1.5g`, `512` or `2GiB` in powers of 1024 (go-units RAMInBytes).
 * @throws VarveError `invalid` when it is not one.
 */
export function parseBytes(text: string): number {
  const match = /^(\d+(?:\.\d+)?) ?([kKmMgGtTpP])?i?[bB]?$/.exec(text);
  if (!match) throw new VarveError('invalid', 'INVALID_SIZE', `invalid size: '${text}'`, { subject: text });
  const power = 'kmgtp'.indexOf((match[2] ?? '').toLowerCase()) + 1;
  return Math.floor(Number(match[1]) * 1024 ** (match[2] ? power : 0));
}

const durationUnits: Readonly<Record<string, number>> = {
  ns: 1,
  us: 1e3,
  µs: 1e3,
  ms: 1e6,
  s: 1e9,
  m: 60e9,
  h: 3600e9,
};

/**
 * Reads a Go duration (`1h30m`, `1.5s`, `300ms`) as nanoseconds (Go time.ParseDuration).
 * @throws VarveError `invalid` when it is not one.
 */
export function parseDuration(text: string): number {
  const bad = (): VarveError =>
    new VarveError('invalid', 'INVALID_DURATION', `time: invalid duration "${text}"`, { subject: text });
  const sign = text.startsWith('-') ? -1 : 1;
  let rest = text.replace(/^[-+]/, '');
  if (rest === '0') return 0;
  if (rest === '') throw bad();
  let total = 0;
  while (rest !== '') {
    const match = /^(\d+\.?\d*|\.\d+)(ns|us|µs|ms|s|m|h)/.exec(rest);
    if (!match) throw bad();
    total += Number(match[1]) * (durationUnits[match[2] as string] as number);
    rest = rest.slice(match[0].length);
  }
  return sign * Math.round(total);
}

/** A length of time in words as Docker prints it: `Less than a second`, `2 minutes`, `About an hour` (go-units HumanDuration). */
export function formatDuration(milliseconds: number): string {
  const seconds = Math.floor(milliseconds / 1000);
  if (seconds < 1) return 'Less than a second';
  if (seconds === 1) return '1 second';
  if (seconds < 60) return `${seconds} seconds`;
  const minutes = Math.floor(seconds / 60);
  if (minutes === 1) return 'About a minute';
  if (minutes < 60) return `${minutes} minutes`;
  const hours = Math.round(milliseconds / 3_600_000);
  if (hours === 1) return 'About an hour';
  if (hours < 48) return `${hours} hours`;
  if (hours < 24 * 7 * 2) return `${Math.floor(hours / 24)} days`;
  if (hours < 24 * 30 * 2) return `${Math.floor(hours / 24 / 7)} weeks`;
  if (hours < 24 * 365 * 2) return `${Math.floor(hours / 24 / 30)} months`;
  return `${Math.floor(hours / 24 / 365)} years`;
}
