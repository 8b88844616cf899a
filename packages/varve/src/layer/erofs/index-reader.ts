import { closeSync, openSync, readSync } from 'node:fs';
import type { BytePath } from '../names.ts';
import { splitPath } from '../names.ts';
import type { Xattr } from '../tar/entry.ts';
import { blockBytes, decodeXattrs, direntBytes, inodeBytes, metaStart, slotBytes } from './format.ts';
import { types } from './inode.ts';
import type { LowerFile, LowerReader } from './lower-layers.ts';

interface Found extends LowerFile {
  readonly nid: number;
  readonly size: number;
  readonly block: number;
  readonly xattrBytes: number;
}

const superblockAt = 1024;

/** Looks names up in an index of ours that is not mounted. What it has looked up it keeps. */
export class IndexReader implements LowerReader {
  readonly #fd: number;
  readonly #root: Found;
  readonly #known = new Map<BytePath, Found | undefined>();

  constructor(index: string) {
    this.#fd = openSync(index, 'r');
    this.#root = this.#inode(this.#read(superblockAt, 128).readUInt16LE(14));
  }

  find(path: BytePath): Found | undefined {
    if (path === '') return this.#root;
    if (this.#known.has(path)) return this.#known.get(path);
    const { parent, base } = splitPath(path);
    const folder = this.find(parent);
    const nid =
      folder && (folder.mode & types.mask) === types.directory ? this.#search(folder, base) : undefined;
    const found = nid === undefined ? undefined : this.#inode(nid);
    this.#known.set(path, found);
    return found;
  }

  xattrs({ nid, xattrBytes }: Found): readonly Xattr[] {
    return xattrBytes === 0 ? [] : decodeXattrs(this.#read(placeOf(nid) + inodeBytes, xattrBytes));
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }

  #inode(nid: number): Found {
    const inode = this.#read(placeOf(nid), inodeBytes);
    const mode = inode.readUInt16LE(4);
    const attributes = inode.readUInt16LE(2);
    const start = inode.readUInt32LE(16);
    return {
      nid,
      mode,
      uid: inode.readUInt32LE(24),
      gid: inode.readUInt32LE(28),
      mtime: { seconds: Number(inode.readBigInt64LE(32)), nanoseconds: inode.readUInt32LE(40) },
      isWhiteout: (mode & types.mask) === types.character && start === 0,
      size: Number(inode.readBigUInt64LE(8)),
      block: start,
      // The header counts as one of the units of four bytes.
      xattrBytes: attributes === 0 ? 0 : 12 + (attributes - 1) * 4,
    };
  }

  /** The names of a directory are sorted, also from block to block. */
  #search({ block, size }: Found, name: string): number | undefined {
    let [low, high] = [0, Math.ceil(size / blockBytes) - 1];
    while (low <= high) {
      const middle = (low + high) >> 1;
      const length = Math.min(blockBytes, size - middle * blockBytes);
      const names = this.#read((block + middle) * blockBytes, length);
      const count = names.readUInt16LE(8) / direntBytes;
      if (name < nameAt(names, 0, count)) high = middle - 1;
      else if (name > nameAt(names, count - 1, count)) low = middle + 1;
      else return nidOf(names, name, count);
    }
    return undefined;
  }

  #read(position: number, length: number): Buffer {
    const bytes = Buffer.alloc(length);
    readSync(this.#fd, bytes, 0, length, position);
    return bytes;
  }
}

const placeOf = (nid: number): number => metaStart + nid * slotBytes;

/** The last name of a block ends with it, or with the zeros that fill it. */
function nameAt(block: Buffer, index: number, count: number): string {
  const start = block.readUInt16LE(index * direntBytes + 8);
  if (index + 1 < count)
    return block.toString('latin1', start, block.readUInt16LE((index + 1) * direntBytes + 8));
  const end = block.indexOf(0, start);
  return block.toString('latin1', start, end < 0 ? block.length : end);
}

function nidOf(block: Buffer, name: string, count: number): number | undefined {
  for (let index = 0; index < count; index++) {
    if (nameAt(block, index, count) === name) return block.readUInt32LE(index * direntBytes);
  }
  return undefined;
}
