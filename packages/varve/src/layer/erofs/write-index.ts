import { closeSync, ftruncateSync, openSync, readSync, writeSync } from 'node:fs';
import { writeError } from '../apply/extractor.ts';
import { layerError } from '../errors.ts';
import { type Chunk, type ChunkPlan, planChunks } from './chunks.ts';
import {
  blockBytes,
  chunkEntryBytes,
  chunkFormat,
  type Dirent,
  direntBytes,
  encodeChunk,
  encodeDevice,
  encodeDirents,
  encodeInode,
  encodeSuperblock,
  encodeXattrs,
  inodeBytes,
  layouts,
  maxBlocks,
  metaStart,
  noBlock,
  type Placed,
  slotBytes,
  tarDevice,
} from './format.ts';
import type { Inode, StoredContent } from './inode.ts';

/** Where an inode and its data will stand. */
interface Place {
  readonly inode: Inode;
  readonly parent: Place | undefined;
  readonly number: number;
  readonly nid: number;
  readonly chunks: ChunkPlan | undefined;
  links: number;
  /** Sorted as the kernel searches them; directories only. */
  names: readonly string[];
  dataBytes: number;
  dataBlock: number;
}

export interface IndexSource {
  readonly root: Inode;
  /** The tar, for pieces of sparse files that must be copied. */
  readonly tar: string;
  readonly tarBytes: number;
  /** 16 bytes. */
  readonly uuid: Buffer;
}

/** All chunk maps of one layer together. */
const maxMapBytes = 256 << 20;
const flushBytes = 1 << 20;

/**
 * Writes an EROFS image without file contents: those stay in the tar, which is the image's second device. The
 * superblock is written last. Nothing is synced.
 * @param output a new file.
 * @throws VarveError TAR_LIMIT for a layer beyond the format's 2 TiB, `exhausted` when the disk is full.
 */
export function writeIndex(source: IndexSource, output: string): void {
  const plan = new Plan(source.root, source.tarBytes);
  const tarBlocks = Math.ceil(source.tarBytes / blockBytes);
  const blocks = plan.end / blockBytes;
  if (blocks + tarBlocks > maxBlocks)
    throw layerError('TAR_LIMIT', 'a layer of more than 2 TiB cannot be indexed');
  const fd = openSync(output, 'wx', 0o600);
  try {
    const out = new Appender(fd, metaStart);
    for (const place of plan.places) writeInode(out, place, plan);
    for (const place of plan.places) writeData(out, place, plan);
    out.flush();
    copyPieces(fd, plan, source.tar);
    ftruncateSync(fd, plan.end);
    const rootNid = plan.root.nid;
    const page = encodeSuperblock({
      rootNid,
      inodes: plan.places.length,
      blocks,
      tarBlocks,
      uuid: source.uuid,
    });
    writeAt(fd, page, 0);
  } finally {
    closeSync(fd);
  }
}

/** Gives every inode its number and every block its address. */
class Plan {
  readonly places: Place[] = [];
  readonly root: Place;
  /** Copied chunks and the bytes at which they start. */
  readonly copies = new Map<Chunk, number>();
  readonly #byInode = new Map<Inode, Place>();
  readonly #tarBytes: number;
  /** Bytes of the whole index. */
  readonly end: number;
  // Inode number 0 is no number to readdir(3), so the first place stays empty.
  #next = inodeBytes;
  #mapBytes = 0;

  constructor(root: Inode, tarBytes: number) {
    this.#tarBytes = tarBytes;
    this.root = this.#place(root, undefined);
    for (const place of this.places) this.#enter(place);
    let end = align(metaStart + this.#next, blockBytes);
    for (const place of this.places) {
      place.dataBlock = end / blockBytes;
      if (place.inode.children || place.inode.target) end += align(place.dataBytes, blockBytes);
    }
    for (const { chunks } of this.places) {
      for (const chunk of chunks?.chunks ?? []) {
        if (chunk === 'hole' || !('pieces' in chunk)) continue;
        this.copies.set(chunk, end);
        end += chunk.bytes;
      }
    }
    this.end = end;
  }

  placeOf(inode: Inode): Place {
    return this.#byInode.get(inode) as Place;
  }

  #place(inode: Inode, parent: Place | undefined): Place {
    const { content } = inode;
    const chunks = content && chunksOf(content, this.#tarBytes);
    const place: Place = {
      inode,
      parent,
      number: this.places.length + 1,
      nid: this.#next / slotBytes,
      chunks,
      links: inode.children ? 2 : 1,
      names: [],
      dataBytes: content?.size ?? inode.target?.length ?? 0,
      dataBlock: 0,
    };
    const mapBytes = (chunks?.chunks.length ?? 0) * chunkEntryBytes;
    this.#mapBytes += mapBytes;
    if (this.#mapBytes > maxMapBytes) throw layerError('TAR_LIMIT', 'too many pieces in sparse files');
    const body = align(inodeBytes + encodeXattrs(inode.xattrs).length, chunkEntryBytes) + mapBytes;
    this.#next += align(body, slotBytes);
    this.places.push(place);
    this.#byInode.set(inode, place);
    return place;
  }

  /** Numbers a directory's children, which follow all found before. */
  #enter(place: Place): void {
    const { children } = place.inode;
    if (!children) return;
    place.names = ['.', '..', ...children.keys()].sort(byBytes);
    for (const name of place.names) {
      const child = children.get(name);
      if (!child) continue;
      const known = this.#byInode.get(child);
      if (known) known.links++;
      else this.#place(child, place);
      if (child.children) place.links++;
    }
    const runs = directoryBlocks(place.names);
    const last = runs.at(-1) as Run;
    place.dataBytes = (runs.length - 1) * blockBytes + last.bytes;
  }
}

/**
 * Undefined for a file without content. One that is a single run of blocks in the tar is a single chunk: a plain inode
 * has no room for the device's number, and erofs-utils do not find one by the address alone, as the kernel does.
 */
function chunksOf({ size, offset, sparse }: StoredContent, tarBytes: number): ChunkPlan | undefined {
  if (size === 0) return undefined;
  return planChunks(size, sparse ?? [{ offset: 0, size }], offset, tarBytes);
}

/** One character is one byte, so the order of characters is that of bytes. */
const byBytes = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

const align = (value: number, to: number): number => Math.ceil(value / to) * to;

interface Run {
  readonly from: number;
  readonly to: number;
  readonly bytes: number;
}

/** Which names share a block. */
function directoryBlocks(names: readonly string[]): Run[] {
  const runs: Run[] = [];
  let [from, bytes] = [0, 0];
  names.forEach((name, index) => {
    const needed = direntBytes + name.length;
    if (bytes + needed > blockBytes) {
      runs.push({ from, to: index, bytes });
      [from, bytes] = [index, 0];
    }
    bytes += needed;
  });
  runs.push({ from, to: names.length, bytes });
  return runs;
}

function writeInode(out: Appender, place: Place, plan: Plan): void {
  const { inode, chunks } = place;
  const at = metaStart + place.nid * slotBytes;
  const xattrs = encodeXattrs(inode.xattrs);
  out.padTo(at);
  out.append(encodeInode(inode, xattrs, { ...dataOf(place), number: place.number, links: place.links }));
  out.append(xattrs);
  if (!chunks) return;
  out.padTo(align(out.position, chunkEntryBytes));
  for (const chunk of chunks.chunks) {
    out.append(encodeChunk(...chunkAddress(chunk, plan)));
  }
}

function chunkAddress(chunk: Chunk, plan: Plan): readonly [device: number, block: number] {
  if (chunk === 'hole') return [0, noBlock];
  if ('tarOffset' in chunk) return [tarDevice, chunk.tarOffset / blockBytes];
  return [0, (plan.copies.get(chunk) as number) / blockBytes];
}

function dataOf({ inode, chunks, dataBytes, dataBlock }: Place): Pick<Placed, 'layout' | 'size' | 'start'> {
  if (chunks) return { layout: layouts.chunked, size: dataBytes, start: chunkFormat(chunks.chunkBits) };
  if (inode.content) return { layout: layouts.plain, size: 0, start: noBlock };
  const hasBlocks = inode.children !== undefined || inode.target !== undefined;
  return {
    layout: layouts.plain,
    size: dataBytes,
    start: hasBlocks ? dataBlock : encodeDevice(inode.device),
  };
}

function writeData(out: Appender, place: Place, plan: Plan): void {
  const { inode, names } = place;
  if (inode.target) {
    out.padTo(place.dataBlock * blockBytes);
    out.append(inode.target);
  }
  if (!inode.children) return;
  const entries = names.map((name): Dirent => {
    const child = name === '.' ? place : name === '..' ? (place.parent ?? place) : undefined;
    const found = child ?? plan.placeOf(inode.children?.get(name) as Inode);
    return { name, nid: found.nid, type: found.inode.type };
  });
  out.padTo(place.dataBlock * blockBytes);
  for (const { from, to } of directoryBlocks(names)) {
    const block = Buffer.alloc(blockBytes);
    encodeDirents(block, entries.slice(from, to));
    out.append(block);
  }
}

/** Writes into the middle of the file, so what lies between pieces stays a hole there too. */
function copyPieces(fd: number, plan: Plan, tar: string): void {
  if (plan.copies.size === 0) return;
  const from = openSync(tar, 'r');
  try {
    const buffer = Buffer.allocUnsafe(flushBytes);
    for (const [chunk, start] of plan.copies) {
      if (chunk === 'hole' || !('pieces' in chunk)) continue;
      for (const { at, tarOffset, size } of chunk.pieces) {
        for (let done = 0; done < size; ) {
          const length = readSync(from, buffer, 0, Math.min(buffer.length, size - done), tarOffset + done);
          if (length === 0) throw layerError('TAR_TRUNCATED', 'the tar archive ends too early', tar);
          writeAt(fd, buffer.subarray(0, length), start + at + done);
          done += length;
        }
      }
    }
  } finally {
    closeSync(from);
  }
}

/** Writes at the end of what is there, in large pieces. */
class Appender {
  readonly #fd: number;
  readonly #buffer = Buffer.allocUnsafe(flushBytes);
  #flushed: number;
  #filled = 0;

  constructor(fd: number, position: number) {
    this.#fd = fd;
    this.#flushed = position;
  }

  get position(): number {
    return this.#flushed + this.#filled;
  }

  append(bytes: Buffer): void {
    for (let done = 0; done < bytes.length; ) {
      if (this.#filled === this.#buffer.length) this.flush();
      const copied = bytes.copy(this.#buffer, this.#filled, done);
      this.#filled += copied;
      done += copied;
    }
  }

  padTo(position: number): void {
    let left = position - this.position;
    while (left > 0) {
      if (this.#filled === this.#buffer.length) this.flush();
      const taken = Math.min(left, this.#buffer.length - this.#filled);
      this.#buffer.fill(0, this.#filled, this.#filled + taken);
      this.#filled += taken;
      left -= taken;
    }
  }

  flush(): void {
    writeAt(this.#fd, this.#buffer.subarray(0, this.#filled), this.#flushed);
    this.#flushed += this.#filled;
    this.#filled = 0;
  }
}

/** All of it. @throws VarveError `exhausted` when the disk is full. */
export function writeAt(fd: number, bytes: Buffer, position: number): void {
  for (let done = 0; done < bytes.length; ) {
    try {
      done += writeSync(fd, bytes, done, bytes.length - done, position + done);
    } catch (error) {
      throw writeError(error);
    }
  }
}
