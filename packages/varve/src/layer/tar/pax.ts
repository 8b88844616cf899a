import type { TimeSpec } from '../../linux/index.ts';
import { layerError } from '../errors.ts';

/** One record of an extended header. Keys are read as latin1 so that any byte survives. */
export type PaxRecord = readonly [key: string, value: Buffer];

/**
 * Splits an extended header into its records, in order. POSIX pax, "pax Extended Header".
 * @throws VarveError TAR_BAD_PAX.
 */
export function parsePax(data: Buffer): PaxRecord[] {
  const records: PaxRecord[] = [];
  for (let offset = 0; offset < data.length; ) {
    // Some writers pad the header with NULs.
    if (data[offset] === 0 && data.subarray(offset).every((byte) => byte === 0)) break;
    const space = data.indexOf(0x20, offset);
    const digits = space < 0 ? '' : data.toString('latin1', offset, space);
    if (!/^\d{1,10}$/.test(digits)) throw layerError('TAR_BAD_PAX', 'bad length of a pax record');
    const end = offset + Number(digits);
    const equals = data.indexOf(0x3d, space);
    if (end > data.length || data[end - 1] !== 0x0a || equals <= space + 1 || equals >= end) {
      throw layerError('TAR_BAD_PAX', 'malformed pax record');
    }
    records.push([data.toString('latin1', space + 1, equals), data.subarray(equals + 1, end - 1)]);
    offset = end;
  }
  return records;
}

/** One record as written: its length counts itself. */
export function encodePaxRecord(key: string, value: Buffer): Buffer {
  const rest = key.length + value.length + 3; // space, equals, newline
  let length = rest + String(rest).length;
  if (String(length).length !== String(rest).length) length = rest + String(length).length;
  const record = Buffer.allocUnsafe(length);
  const at = record.write(`${length} ${key}=`, 'latin1');
  value.copy(record, at);
  record[length - 1] = 0x0a;
  return record;
}

/** A decimal integer of a pax record. @throws VarveError TAR_BAD_PAX. */
export function paxInteger(key: string, value: Buffer): number {
  const text = value.toString('latin1');
  const number = Number(text);
  if (!/^-?\d{1,20}$/.test(text) || !Number.isSafeInteger(number)) {
    throw layerError('TAR_BAD_PAX', `bad number in the pax record "${key}"`);
  }
  return number;
}

/** A time of a pax record: seconds with any number of decimals, negative before 1970. @throws VarveError TAR_BAD_PAX. */
export function paxTime(key: string, value: Buffer): TimeSpec {
  const match = /^(-?)(\d{1,16})(?:\.(\d*))?$/.exec(value.toString('latin1', 0, 64));
  if (!match || value.length > 64) throw layerError('TAR_BAD_PAX', `bad time in the pax record "${key}"`);
  const seconds = Number(match[2]);
  const nanoseconds = Number((match[3] ?? '').slice(0, 9).padEnd(9, '0'));
  if (match[1] === '') return { seconds, nanoseconds };
  if (nanoseconds === 0) return { seconds: seconds === 0 ? 0 : -seconds, nanoseconds: 0 };
  return { seconds: -seconds - 1, nanoseconds: 1_000_000_000 - nanoseconds };
}

/** The shortest exact decimal form of a time. */
export function formatPaxTime({ seconds, nanoseconds }: TimeSpec): string {
  if (nanoseconds === 0) return String(seconds);
  const negative = seconds < 0;
  const whole = negative ? -seconds - 1 : seconds;
  const fraction = negative ? 1_000_000_000 - nanoseconds : nanoseconds;
  return `${negative ? '-' : ''}${whole}.${String(fraction).padStart(9, '0').replace(/0+$/, '')}`;
}
