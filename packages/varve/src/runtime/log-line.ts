/** One physical line of a CRI log file: a whole line (`F`) or a part of one (`P`). */
export interface LogEntry {
  readonly stream: 1 | 2;
  /** RFC 3339, nine digits, `Z`. */
  readonly timestamp: string;
  readonly complete: boolean;
  readonly data: Buffer;
}

/** A joined line, or a piece of one that is longer than {@link maxJoinedBytes}. */
export interface JoinedLine {
  readonly stream: 1 | 2;
  readonly timestamp: string;
  /** With the newline, if the line has one. */
  readonly data: Buffer;
  /** False for a piece that more of the same line follows. */
  readonly complete: boolean;
}

const SPACE = 0x20;

/** UTC with nine digits, whatever the zone and precision conmon wrote: texts of this form sort as times. */
export function normalizeTimestamp(text: string): string | undefined {
  const match = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)$/.exec(text);
  if (!match) return undefined;
  const [, seconds = '', fraction = '', zone = 'Z'] = match;
  const nanos = fraction.padEnd(9, '0');
  if (zone === 'Z' || zone === '+00:00') return `${seconds}.${nanos}Z`;
  return `${new Date(`${seconds}${zone}`).toISOString().slice(0, 19)}.${nanos}Z`;
}

/** Seconds since 1970 as the same form of text, rounded down to the nanosecond where the number allows. */
export function timestampOf(seconds: number): string {
  const whole = Math.floor(seconds);
  const nanos = Math.min(999_999_999, Math.floor((seconds - whole) * 1e9));
  return `${new Date(whole * 1000).toISOString().slice(0, 19)}.${String(nanos).padStart(9, '0')}Z`;
}

/** Reads `<time> <stdout|stderr> <F|P> <text>`; undefined for anything else, such as a line torn by a full disk. */
export function parseLogEntry(line: Buffer): LogEntry | undefined {
  const first = line.indexOf(SPACE);
  const second = line.indexOf(SPACE, first + 1);
  if (first < 0 || second < 0) return undefined;
  const timestamp = normalizeTimestamp(line.toString('latin1', 0, first));
  const name = line.toString('latin1', first + 1, second);
  const tag = line.toString('latin1', second + 1, second + 2);
  if (timestamp === undefined || (name !== 'stdout' && name !== 'stderr') || (tag !== 'F' && tag !== 'P')) {
    return undefined;
  }
  return {
    stream: name === 'stdout' ? 1 : 2,
    timestamp,
    complete: tag === 'F',
    data: line.subarray(second + 3),
  };
}

/** Longest line that is put together in memory; a longer one is handed out in pieces. */
export const maxJoinedBytes = 1024 * 1024;

const newline = Buffer.from('\n');

/** Puts the parts of lines together, for each stream on its own. conmon writes a part for every read of a pipe. */
export class LineJoiner {
  readonly #parts: Record<1 | 2, { timestamp: string; chunks: Buffer[]; size: number } | undefined> = {
    1: undefined,
    2: undefined,
  };

  /** The line that this entry completes, or a piece that has become too long; undefined while more is to come. */
  push(entry: LogEntry): JoinedLine | undefined {
    const open = this.#parts[entry.stream] ?? { timestamp: entry.timestamp, chunks: [], size: 0 };
    open.chunks.push(entry.data);
    open.size += entry.data.length;
    if (!entry.complete && open.size < maxJoinedBytes) {
      this.#parts[entry.stream] = open;
      return undefined;
    }
    this.#parts[entry.stream] = undefined;
    return {
      stream: entry.stream,
      timestamp: open.timestamp,
      data: Buffer.concat(entry.complete ? [...open.chunks, newline] : open.chunks),
      complete: entry.complete,
    };
  }

  /** What has no end yet, in the order of the streams. */
  flush(): JoinedLine[] {
    return ([1, 2] as const).flatMap((stream) => {
      const open = this.#parts[stream];
      this.#parts[stream] = undefined;
      return open === undefined
        ? []
        : [{ stream, timestamp: open.timestamp, data: Buffer.concat(open.chunks), complete: false }];
    });
  }
}
