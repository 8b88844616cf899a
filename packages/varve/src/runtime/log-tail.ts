import { type LogFile, readLinesBackwards } from './log-files.ts';
import { type LogEntry, parseLogEntry } from './log-line.ts';

/** Where to start reading for the last lines, and how many complete lines found from there are still too early. */
export interface TailStart {
  readonly fileIndex: number;
  readonly offset: number;
  readonly skip: number;
}

/**
 * Finds the last `count` lines that `matches`, by reading from the end, so that `--tail 10` of a large log is quick. A
 * line may begin with parts that stand before the end of an earlier line of the other stream: reading goes on until
 * every stream among the counted lines has shown the end of a line before them.
 */
export async function findTail(
  files: readonly LogFile[],
  count: number,
  matches: (entry: LogEntry) => boolean,
): Promise<TailStart> {
  let counted = 0;
  let extra = 0;
  const open = new Set<1 | 2>();
  const end: TailStart = {
    fileIndex: Math.max(0, files.length - 1),
    offset: files.at(-1)?.size ?? 0,
    skip: 0,
  };
  let start = end;
  if (count === 0) return end;
  for (let index = files.length - 1; index >= 0; index--) {
    const { handle, size } = files[index] as LogFile;
    for await (const { offset, line } of readLinesBackwards(handle, size)) {
      const entry = parseLogEntry(line);
      if (entry === undefined) continue;
      if (entry.complete && matches(entry)) {
        if (counted < count) {
          counted++;
          open.add(entry.stream);
        } else {
          extra++;
          open.delete(entry.stream);
          if (open.size === 0) return { ...start, skip: extra - 1 };
        }
      } else if (entry.complete && counted >= count) {
        open.delete(entry.stream);
        if (open.size === 0) return { ...start, skip: extra };
      }
      start = { fileIndex: index, offset, skip: extra };
    }
  }
  return start;
}
