import { readSync } from 'node:fs';
import {
  close,
  type FileStat,
  fileType,
  seekData,
  seekHole,
  statFd,
  type TimeSpec,
} from '../../linux/index.ts';
import { paddingAfter, type SparseRegion, type TarMetadata } from '../tar/entry.ts';
import { encodeEnd, encodeHeader } from '../tar/writer.ts';
import { archiveXattrs, openFile, type PackItem, readLink, readXattrs, typeOf } from './item.ts';

export interface PackOptions {
  /** Latest mtime, in seconds since 1970; later ones become it. */
  readonly maxMtime?: number;
  /** Write holes as such. Other tars must know GNU.sparse 1.0 to read them. */
  readonly sparse?: boolean;
  /** Owner of everything instead of the files'. */
  readonly owner?: { readonly uid: number; readonly gid: number };
}

export interface PackTotals {
  /** Entries written. */
  entries: number;
  /** Bytes of file content, hard links once. */
  size: number;
}

const chunkSize = 1 << 20;
const none: Buffer = Buffer.alloc(0);

/** A mark's own attributes say nothing, so they are all zero. */
function markerMetadata(name: Buffer): TarMetadata {
  return {
    type: 'file',
    name,
    linkName: none,
    mode: 0,
    uid: 0,
    gid: 0,
    userName: none,
    groupName: none,
    size: 0,
    mtime: { seconds: 0, nanoseconds: 0 },
    deviceMajor: 0,
    deviceMinor: 0,
    xattrs: [],
  };
}

/** Gathers bytes into chunks of a fixed size. A chunk belongs to who got it until the next is asked for. */
class ChunkBuffer {
  readonly #buffer = Buffer.allocUnsafeSlow(chunkSize);
  #filled = 0;

  /** Copies, yielding each time the buffer is full. */
  *write(data: Buffer): Generator<Buffer, void, void> {
    for (let at = 0; at < data.length; ) {
      const taken = data.copy(this.#buffer, this.#filled, at);
      at += taken;
      yield* this.#took(taken);
    }
  }

  *zeros(count: number): Generator<Buffer, void, void> {
    for (let left = count; left > 0; ) {
      const taken = Math.min(left, chunkSize - this.#filled);
      this.#buffer.fill(0, this.#filled, this.#filled + taken);
      left -= taken;
      yield* this.#took(taken);
    }
  }

  /** Reads from a file; zeros stand for what it has lost since its size was asked. */
  *read(fd: number, position: number, count: number): Generator<Buffer, void, void> {
    for (let done = 0; done < count; ) {
      const wanted = Math.min(count - done, chunkSize - this.#filled);
      const taken = readSync(fd, this.#buffer, this.#filled, wanted, position + done);
      if (taken === 0) {
        yield* this.zeros(count - done);
        return;
      }
      done += taken;
      yield* this.#took(taken);
    }
  }

  *#took(count: number): Generator<Buffer, void, void> {
    this.#filled += count;
    if (this.#filled === chunkSize) yield this.flush();
  }

  flush(): Buffer {
    const chunk = this.#buffer.subarray(0, this.#filled);
    this.#filled = 0;
    return chunk;
  }
}

/**
 * A tar archive of the items, in pieces. Files with several names among the items become hard links to the first; what
 * goes away while it is read is left out; sockets are left out.
 */
export function* tarChunks(
  items: Iterable<PackItem>,
  totals: PackTotals,
  options: PackOptions = {},
): Generator<Buffer, void, void> {
  const out = new ChunkBuffer();
  const links = new Map<string, Buffer>();
  for (const item of items) {
    if (item.kind === 'marker') {
      yield* out.write(encodeHeader(markerMetadata(item.name)));
      totals.entries++;
    } else {
      yield* packFile(item, out, links, totals, options);
    }
  }
  yield* out.write(encodeEnd());
  const last = out.flush();
  if (last.length > 0) yield last;
}

function* packFile(
  item: Extract<PackItem, { kind: 'file' }>,
  out: ChunkBuffer,
  links: Map<string, Buffer>,
  totals: PackTotals,
  options: PackOptions,
): Generator<Buffer, void, void> {
  const type = typeOf(item.stat);
  if (type === undefined) return;
  const { stat } = item;
  const key = stat.nlink > 1 && type !== 'directory' ? `${stat.device}:${stat.inode}` : undefined;
  const first = key === undefined ? undefined : links.get(key);
  if (first) {
    yield* out.write(
      encodeHeader({ ...describe(item, stat, options), type: 'hardlink', linkName: first, size: 0 }),
    );
    totals.entries++;
    return;
  }
  let metadata = describe(item, stat, options);
  if (type === 'symlink') {
    const linkName = readLink(item.dirfd, item.base);
    if (!linkName) return;
    metadata = { ...metadata, linkName };
  }
  const xattrs = archiveXattrs(readXattrs(item.dirfd, item.base));
  if (xattrs.length > 0) metadata = { ...metadata, xattrs };
  if (type === 'file') {
    if (!(yield* packContent(item, metadata, out, options))) return;
    totals.size += metadata.size;
  } else {
    yield* out.write(encodeHeader(metadata));
  }
  totals.entries++;
  if (key !== undefined) links.set(key, item.name);
}

function* packContent(
  item: Extract<PackItem, { kind: 'file' }>,
  metadata: TarMetadata,
  out: ChunkBuffer,
  options: PackOptions,
): Generator<Buffer, boolean, void> {
  const fd = openFile(item.dirfd, item.base);
  if (fd < 0) return false;
  try {
    const opened = statFd(fd);
    // Another file took the name since it was listed.
    if (typeof opened === 'number' || (opened.mode & fileType.mask) !== fileType.regular) return false;
    const { size } = metadata;
    const map = options.sparse === true && opened.blocks * 512 < size ? sparseRegions(fd, size) : undefined;
    yield* out.write(encodeHeader(metadata, map));
    let written = 0;
    for (const region of map ?? [{ offset: 0, size }]) {
      yield* out.read(fd, region.offset, region.size);
      written += region.size;
    }
    yield* out.zeros(paddingAfter(written));
    return true;
  } finally {
    close(fd);
  }
}

/** Where the file has data; undefined when it has no holes. */
function sparseRegions(fd: number, size: number): SparseRegion[] | undefined {
  const regions: SparseRegion[] = [];
  for (let at = 0; at < size; ) {
    const start = seekData(fd, at);
    if (start < 0 || start >= size) break;
    const end = seekHole(fd, start);
    if (end < 0) return undefined;
    regions.push({ offset: start, size: Math.min(end, size) - start });
    at = end;
  }
  return regions.length === 1 && regions[0]?.size === size ? undefined : regions;
}

function describe(
  item: Extract<PackItem, { kind: 'file' }>,
  stat: FileStat,
  options: PackOptions,
): TarMetadata {
  const type = typeOf(stat) ?? 'other';
  const device = type === 'character-device' || type === 'block-device';
  return {
    type,
    name: item.name,
    linkName: none,
    mode: stat.mode & 0o7777,
    uid: options.owner?.uid ?? stat.uid,
    gid: options.owner?.gid ?? stat.gid,
    userName: none,
    groupName: none,
    size: type === 'file' ? stat.size : 0,
    mtime: clamp(stat.mtime, options.maxMtime),
    deviceMajor: device ? stat.rdevMajor : 0,
    deviceMinor: device ? stat.rdevMinor : 0,
    xattrs: [],
  };
}

function clamp(time: TimeSpec, max: number | undefined): TimeSpec {
  return max !== undefined && time.seconds >= max ? { seconds: max, nanoseconds: 0 } : time;
}
