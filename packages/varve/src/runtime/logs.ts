import { type FSWatcher, watch } from 'node:fs';
import { dirname } from 'node:path';
import { throwIfAborted } from '../base/index.ts';
import { type LogFile, openLogFiles, openNextLogFile, readLines } from './log-files.ts';
import { type JoinedLine, LineJoiner, type LogEntry, parseLogEntry, timestampOf } from './log-line.ts';
import { findTail } from './log-tail.ts';
import type { LogLine, LogQuery } from './types.ts';

/** Where a log is and how to know that no more will come. */
export interface LogSource {
  readonly path: string;
  /** True when the writer has ended; what it wrote is in the file by then. */
  finished(): boolean;
  /** Resolves when it ends, or stays pending and is forgotten when the signal fires. */
  whenFinished(signal: AbortSignal): Promise<unknown>;
}

// A lost inotify event costs at most this much delay.
const FOLLOW_POLL_MS = 1000;

/** Wakes a follower when something in the log's folder changes, when its writer ends or its client goes. */
class ChangeSignal implements Disposable {
  #changed = false;
  #wake: (() => void) | undefined;
  #watcher: FSWatcher | undefined;
  readonly #signal: AbortSignal | undefined;
  readonly #disposed = new AbortController();
  readonly #notify = (): void => {
    this.#changed = true;
    this.#wake?.();
  };

  constructor(source: LogSource, signal: AbortSignal | undefined) {
    this.#signal = signal;
    try {
      this.#watcher = watch(dirname(source.path), this.#notify);
      this.#watcher.on('error', this.#notify);
    } catch {
      // The folder is gone; the poll finds the end.
    }
    signal?.addEventListener('abort', this.#notify);
    source.whenFinished(this.#disposed.signal).then(this.#notify, this.#notify);
  }

  async next(): Promise<void> {
    if (!this.#changed) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, FOLLOW_POLL_MS);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    this.#wake = undefined;
    this.#changed = false;
  }

  [Symbol.dispose](): void {
    this.#disposed.abort();
    this.#watcher?.close();
    this.#signal?.removeEventListener('abort', this.#notify);
    this.#wake?.();
  }
}

/** Entries of one file from an offset on up to its present end; returns where the next would start. */
async function* readEntries(
  file: LogFile,
  from: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<LogEntry, number, void> {
  let next = from;
  for await (const { offset, line } of readLines(file.handle, from)) {
    throwIfAborted(signal);
    next = offset + line.length + 1;
    const entry = parseLogEntry(line);
    if (entry !== undefined) yield entry;
  }
  return next;
}

/** Entries that are written from now on, after `offset` of the newest file, until the writer has ended. */
async function* followEntries(
  source: LogSource,
  newest: LogFile | undefined,
  from: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<LogEntry, void, void> {
  using changes = new ChangeSignal(source, signal);
  let file = newest;
  let offset = from;
  const opened: LogFile[] = [];
  try {
    for (;;) {
      // Asked before reading: what was written before the end is then surely read.
      const finished = source.finished();
      if (file !== undefined) offset = yield* readEntries(file, offset, signal);
      const next = await openNextLogFile(source.path, file?.inode);
      if (next !== undefined) {
        opened.push(next);
        // The writer went on in the renamed file until it opened this one: only now has it its last line.
        if (file !== undefined) yield* readEntries(file, offset, signal);
        file = next;
        offset = 0;
        continue;
      }
      if (finished) return;
      throwIfAborted(signal);
      await changes.next();
      throwIfAborted(signal);
    }
  } finally {
    for (const { handle } of opened) await handle.close();
  }
}

/** Entries of the files from a start on and, with `follow`, those yet to come. */
async function* selectEntries(
  source: LogSource,
  files: readonly LogFile[],
  start: { readonly fileIndex: number; readonly offset: number },
  query: LogQuery,
): AsyncGenerator<LogEntry, void, void> {
  let { offset } = start;
  for (const [index, file] of files.entries()) {
    if (index < start.fileIndex) continue;
    const from = index === start.fileIndex ? start.offset : 0;
    offset = yield* readEntries(file, from, query.signal);
  }
  if (query.follow) yield* followEntries(source, files.at(-1), offset, query.signal);
}

/**
 * Lines of a container's log by a query: parts of lines joined, times in UTC with nine digits. The data of a line ends
 * with its newline; output without one at the end of a container's life, and pieces of a line over 1 MiB, have none.
 * @throws VarveError `cancelled` when the query's signal fires.
 */
export async function* queryLogs(source: LogSource, query: LogQuery): AsyncGenerator<LogLine, void, void> {
  const since = query.since === undefined ? undefined : timestampOf(query.since);
  const until = query.until === undefined ? undefined : timestampOf(query.until);
  const wanted = (line: { readonly stream: 1 | 2; readonly timestamp: string }): boolean =>
    (line.stream === 1 ? (query.stdout ?? true) : (query.stderr ?? true)) &&
    (since === undefined || line.timestamp >= since) &&
    (until === undefined || line.timestamp <= until);
  const all = await openLogFiles(source.path);
  try {
    // A file last written before `since` holds nothing of interest.
    const files = all.filter(
      (file, index) =>
        index === all.length - 1 || query.since === undefined || file.mtimeMs / 1000 >= query.since,
    );
    const start =
      query.tail === undefined || query.tail < 0
        ? { fileIndex: 0, offset: 0, skip: 0 }
        : await findTail(files, query.tail, wanted);
    const joiner = new LineJoiner();
    let { skip } = start;
    const accept = (line: JoinedLine | undefined): line is JoinedLine => {
      if (line === undefined || !wanted(line)) return false;
      if (skip === 0) return true;
      if (line.complete) skip--;
      return false;
    };
    for await (const entry of selectEntries(source, files, start, query)) {
      // Lines come in the order of their times but for jumps of the clock; so only a follower may stop early.
      if (until !== undefined && query.follow && entry.timestamp > until) return;
      const line = joiner.push(entry);
      if (accept(line)) yield { stream: line.stream, timestamp: line.timestamp, data: line.data };
    }
    if (!source.finished()) return;
    for (const line of joiner.flush()) {
      if (accept(line)) yield { stream: line.stream, timestamp: line.timestamp, data: line.data };
    }
  } finally {
    for (const { handle } of all) await handle.close();
  }
}
