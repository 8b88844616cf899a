import { paddingAfter, type TarEntryType, type TarMetadata, type Xattr } from '../tar/entry.ts';
import { encodeEnd, encodeHeader } from '../tar/writer.ts';

/** An entry for a test's archive; what is absent has a plain value. */
export interface ArchiveEntry {
  readonly name: string | Buffer;
  readonly type?: TarEntryType;
  readonly content?: string | Buffer;
  readonly link?: string | Buffer;
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly mtime?: { readonly seconds: number; readonly nanoseconds: number };
  readonly major?: number;
  readonly minor?: number;
  readonly xattrs?: readonly Xattr[];
}

function bytes(value: string | Buffer | undefined): Buffer {
  return typeof value === 'string' ? Buffer.from(value) : (value ?? Buffer.alloc(0));
}

export function metadataOf(entry: ArchiveEntry): TarMetadata {
  const type = entry.type ?? 'file';
  return {
    type,
    name: bytes(entry.name),
    linkName: bytes(entry.link),
    mode: entry.mode ?? (type === 'directory' ? 0o755 : 0o644),
    uid: entry.uid ?? 0,
    gid: entry.gid ?? 0,
    userName: Buffer.alloc(0),
    groupName: Buffer.alloc(0),
    size: bytes(entry.content).length,
    mtime: entry.mtime ?? { seconds: 1_000_000_000, nanoseconds: 0 },
    deviceMajor: entry.major ?? 0,
    deviceMinor: entry.minor ?? 0,
    xattrs: entry.xattrs ?? [],
  };
}

/** Header, content and padding of one entry. */
export function entryBytes(entry: ArchiveEntry): Buffer {
  const content = bytes(entry.content);
  return Buffer.concat([
    encodeHeader(metadataOf(entry)),
    content,
    Buffer.alloc(paddingAfter(content.length)),
  ]);
}

/** A whole archive. */
export function archive(...entries: readonly ArchiveEntry[]): Buffer {
  return Buffer.concat([...entries.map(entryBytes), encodeEnd()]);
}

export const file = (name: string | Buffer, content: string | Buffer = ''): ArchiveEntry => ({
  name,
  content,
});
export const folder = (name: string, mode = 0o755): ArchiveEntry => ({ name, type: 'directory', mode });
export const symlink = (name: string, link: string): ArchiveEntry => ({
  name,
  type: 'symlink',
  link,
  mode: 0o777,
});
export const hardlink = (name: string, link: string): ArchiveEntry => ({ name, type: 'hardlink', link });

/** A small tree for other layers to change. */
export const lowerTree: readonly ArchiveEntry[] = [
  folder('a'),
  file('a/one', '1'),
  file('a/two', '2'),
  folder('a/sub'),
  file('a/sub/x', 'x'),
  folder('b'),
  file('b/f', 'f'),
  file('c', 'c'),
];
