import { readdirSync, statSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

/** One file of a rotated log. */
export interface LogFile {
  readonly path: string;
  readonly inode: number;
  readonly size: number;
  readonly mtimeMs: number;
}

/** A log's files, oldest first: `container.log.2`, `container.log.1`, `container.log`. After a rotation the last may not exist yet. */
export function listLogFiles(path: string): readonly LogFile[] {
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
      return stats?.isFile()
        ? [{ path: file, inode: stats.ino, size: stats.size, mtimeMs: stats.mtimeMs }]
        : [];
    });
}

const BLOCK_BYTES = 64 * 1024;
const NEWLINE = 0x0a;

/** A line of a file and where it starts. */
export interface FileLine {
  readonly offset: number;
  readonly line: Buffer;
}

/** Whole lines from an offset on up to the file's present end; a last line without a newline is not given. */
export async function* readLines(
  handle: { read: FileReader },
  from: number,
): AsyncGenerator<FileLine, void, void> {
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

type FileReader = (
  buffer: Buffer,
  offset: number,
  length: number,
  position: number,
) => Promise<{ bytesRead: number }>;

/** Whole lines before the end of a file, last first. */
export async function* readLinesBackwards(path: string): AsyncGenerator<FileLine, void, void> {
  const handle = await open(path, 'r');
  try {
    let position = (await handle.stat()).size;
    // Bytes from `position` on whose line's start is not known yet; the part after the last newline is no whole line.
    let rest: Buffer = Buffer.alloc(0);
    let seenNewline = false;
    while (position > 0) {
      const length = Math.min(BLOCK_BYTES, position);
      const block = Buffer.allocUnsafe(length);
      await handle.read(block, 0, length, position - length);
      position -= length;
      const bytes = Buffer.concat([block, rest]);
      let end = bytes.length;
      for (
        let at = bytes.lastIndexOf(NEWLINE, end - 1);
        at >= 0;
        at = at === 0 ? -1 : bytes.lastIndexOf(NEWLINE, at - 1)
      ) {
        if (seenNewline) yield { offset: position + at + 1, line: bytes.subarray(at + 1, end) };
        seenNewline = true;
        end = at;
      }
      rest = bytes.subarray(0, end);
    }
    if (seenNewline) yield { offset: 0, line: rest };
  } finally {
    await handle.close();
  }
}
