import { readdirSync, statSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

/** One file of a rotated log, opened: a rotation renames it and may delete it, and does not disturb who reads it. */
export interface LogFile {
  readonly handle: FileHandle;
  readonly inode: number;
  readonly size: number;
  readonly mtimeMs: number;
}

interface ListedFile {
  readonly path: string;
  readonly inode: number;
}

function listOnce(path: string): readonly ListedFile[] {
  const folder = dirname(path);
  const name = basename(path);
  let names: string[];
  try {
    names = readdirSync(folder);
  } catch {
    return [];
  }
  return names
    .flatMap((entry) => {
      if (entry === name) return [{ entry, age: 0 }];
      const age = entry.startsWith(`${name}.`) ? Number(entry.slice(name.length + 1)) : Number.NaN;
      return Number.isInteger(age) && age > 0 ? [{ entry, age }] : [];
    })
    .sort((a, b) => b.age - a.age)
    .flatMap(({ entry }) => {
      const file = join(folder, entry);
      const stats = statSync(file, { throwIfNoEntry: false });
      return stats?.isFile() ? [{ path: file, inode: stats.ino }] : [];
    });
}

/** Oldest first: `container.log.2`, `container.log.1`, `container.log`. After a rotation the last may not exist yet. */
function list(path: string): readonly ListedFile[] {
  const key = (files: readonly ListedFile[]): string => files.map((file) => file.inode).join();
  let files = listOnce(path);
  // A rotation between reading the folder and looking at its files shows some twice and others not at all.
  for (;;) {
    const again = listOnce(path);
    if (key(again) === key(files)) return again;
    files = again;
  }
}

async function openListed(file: ListedFile): Promise<LogFile | undefined> {
  const handle = await open(file.path, 'r').catch(() => undefined);
  if (handle === undefined) return undefined;
  const stats = await handle.stat();
  if (stats.ino === file.inode) {
    return { handle, inode: stats.ino, size: stats.size, mtimeMs: stats.mtimeMs };
  }
  await handle.close();
  return undefined;
}

/** Opens all files of a log, oldest first. The caller closes them. */
export async function openLogFiles(path: string): Promise<readonly LogFile[]> {
  for (;;) {
    const listed = list(path);
    const opened = await Promise.all(listed.map(openListed));
    const files = opened.filter((file) => file !== undefined);
    if (files.length === listed.length) return files;
    // Rotated while being opened.
    for (const file of files) await file.handle.close();
  }
}

/**
 * Opens the file that continues the one with `inode`, found by inode, since rotation renames under a reader's feet;
 * the oldest one left when that was rotated out; undefined while there is none.
 */
export async function openNextLogFile(path: string, inode: number | undefined): Promise<LogFile | undefined> {
  for (;;) {
    const files = list(path);
    const next = files[files.findIndex((file) => file.inode === inode) + 1];
    if (next === undefined) return undefined;
    const opened = await openListed(next);
    if (opened !== undefined) return opened;
  }
}

const BLOCK_BYTES = 64 * 1024;
const NEWLINE = 0x0a;

/** A line of a file and where it starts. */
export interface FileLine {
  readonly offset: number;
  readonly line: Buffer;
}

/** Whole lines from an offset on up to the file's present end; a last line without a newline is not given. */
export async function* readLines(handle: FileHandle, from: number): AsyncGenerator<FileLine, void, void> {
  let rest: Buffer = Buffer.alloc(0);
  let offset = from;
  for (;;) {
    const block = Buffer.allocUnsafe(BLOCK_BYTES);
    const { bytesRead } = await handle.read(block, 0, block.length, offset + rest.length);
    if (bytesRead === 0) return;
    const bytes =
      rest.length === 0 ? block.subarray(0, bytesRead) : Buffer.concat([rest, block.subarray(0, bytesRead)]);
    let start = 0;
    for (let end = bytes.indexOf(NEWLINE); end >= 0; end = bytes.indexOf(NEWLINE, start)) {
      yield { offset: offset + start, line: bytes.subarray(start, end) };
      start = end + 1;
    }
    rest = bytes.subarray(start);
    offset += start;
  }
}

/** Whole lines before an offset, last first. What follows the last newline before it is no whole line. */
export async function* readLinesBackwards(
  handle: FileHandle,
  end: number,
): AsyncGenerator<FileLine, void, void> {
  let position = end;
  // Bytes from `position` on whose line's start is not known yet.
  let rest: Buffer = Buffer.alloc(0);
  let seenNewline = false;
  while (position > 0) {
    const length = Math.min(BLOCK_BYTES, position);
    const block = Buffer.allocUnsafe(length);
    await handle.read(block, 0, length, position - length);
    position -= length;
    const bytes = Buffer.concat([block, rest]);
    let lineEnd = bytes.length;
    for (
      let at = bytes.lastIndexOf(NEWLINE);
      at >= 0;
      at = at === 0 ? -1 : bytes.lastIndexOf(NEWLINE, at - 1)
    ) {
      if (seenNewline) yield { offset: position + at + 1, line: bytes.subarray(at + 1, lineEnd) };
      seenNewline = true;
      lineEnd = at;
    }
    rest = bytes.subarray(0, lineEnd);
  }
  if (seenNewline) yield { offset: 0, line: rest };
}
