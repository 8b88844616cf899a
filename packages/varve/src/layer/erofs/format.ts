import type { Xattr } from '../tar/entry.ts';
import type { Inode } from './inode.ts';
import { types } from './inode.ts';
import { layerError } from '../errors.ts';

/*
 * The on-disk format of EROFS, linux fs/erofs/erofs_fs.h. Everything is little-endian. Blocks are 512 bytes, a tar's own,
 * so that a file's content in the tar is a run of blocks.
 */

export const blockBits = 9;
export const blockBytes = 1 << blockBits;
/** Inodes are numbered by their place, in units of 32 bytes. */
export const slotBytes = 32;
export const inodeBytes = 64;
/** The superblock's page; metadata starts after it. */
export const metaStart = 4096;
/** A block address that says "hole". */
export const noBlock = 0xffff_ffff;
export const maxBlocks = 0xffff_fffe;

const superblockAt = 1024;
const deviceTableAt = superblockAt + 128;
const magic = 0xe0f5e1e2;
/**
 * Times are mtimes, not the time of the build. The checksum of the superblock stays unused, as mkfs.erofs leaves it with
 * blocks this small: fsck.erofs and dump.erofs up to 1.8 read past the end of such a block for it and die.
 */
const compatMtime = 2;
const incompatChunkedFile = 4;
const incompatDeviceTable = 8;

/** How an inode's data is found. */
export const layouts = { plain: 0, chunked: 4 } as const;
/** Entries of a chunk map are 8 bytes: flags, device, block. */
const chunkIndexes = 0x20;
export const chunkEntryBytes = 8;
/** The tar's number; 0 is the index itself. */
export const tarDevice = 1;

export interface Superblock {
  readonly rootNid: number;
  readonly inodes: number;
  /** Blocks of the index itself; the tar's follow it in the address space. */
  readonly blocks: number;
  readonly tarBlocks: number;
  /** 16 bytes. */
  readonly uuid: Buffer;
}

/** The first page: boot area, superblock, table with the one device that the tar is. */
export function encodeSuperblock({ rootNid, inodes, blocks, tarBlocks, uuid }: Superblock): Buffer {
  const page = Buffer.alloc(metaStart);
  const block = page.subarray(superblockAt);
  block.writeUInt32LE(magic, 0);
  block.writeUInt32LE(compatMtime, 8);
  block[12] = blockBits;
  block.writeUInt16LE(rootNid, 14);
  block.writeUInt32LE(inodes, 16);
  block.writeUInt32LE(blocks, 36);
  block.writeUInt32LE(metaStart / blockBytes, 40);
  uuid.copy(block, 48, 0, 16);
  block.writeUInt32LE(incompatChunkedFile | incompatDeviceTable, 80);
  block.writeUInt16LE(1, 86);
  block.writeUInt16LE(deviceTableAt / 128, 88);
  const device = page.subarray(deviceTableAt);
  device.write('diff.tar', 0, 'latin1');
  device.writeUInt32LE(tarBlocks, 64);
  device.writeUInt32LE(blocks, 68);
  return page;
}

/** What an inode says beside its metadata. */
export interface Placed {
  readonly layout: number;
  readonly size: number;
  /** First block, device number or chunk format, as the layout and the type ask. */
  readonly start: number;
  readonly number: number;
  readonly links: number;
}

/** An extended inode, without what follows it. */
export function encodeInode(inode: Inode, xattrs: Buffer, placed: Placed): Buffer {
  const block = Buffer.alloc(inodeBytes);
  block.writeUInt16LE(1 | (placed.layout << 1), 0);
  // The header counts as one of the units of four bytes.
  block.writeUInt16LE(xattrs.length === 0 ? 0 : (xattrs.length - xattrHeaderBytes) / 4 + 1, 2);
  block.writeUInt16LE(inode.mode, 4);
  block.writeBigUInt64LE(BigInt(placed.size), 8);
  block.writeUInt32LE(placed.start, 16);
  block.writeUInt32LE(placed.number, 20);
  block.writeUInt32LE(inode.uid, 24);
  block.writeUInt32LE(inode.gid, 28);
  block.writeBigInt64LE(BigInt(inode.mtime.seconds), 32);
  block.writeUInt32LE(inode.mtime.nanoseconds, 40);
  block.writeUInt32LE(placed.links, 44);
  return block;
}

/** The kernel's new_encode_dev. */
export function encodeDevice([major, minor]: readonly [number, number]): number {
  return ((minor & 0xff) | (major << 8) | ((minor & ~0xff) << 12)) >>> 0;
}

export function chunkFormat(chunkBits: number): number {
  return (chunkBits - blockBits) | chunkIndexes;
}

/** An entry of a chunk map; the block counts from the device's start. */
export function encodeChunk(device: number, block: number): Buffer {
  const entry = Buffer.alloc(chunkEntryBytes);
  entry.writeUInt16LE(device, 2);
  entry.writeUInt32LE(block, 4);
  return entry;
}

const xattrHeaderBytes = 12;
const maxXattrsBytes = 0xfffe * 4;

/** Prefixes that stand as a number; the access-control lists are a prefix without a name. */
const xattrPrefixes: readonly (readonly [prefix: string, index: number])[] = [
  ['user.', 1],
  ['system.posix_acl_access', 2],
  ['system.posix_acl_default', 3],
  ['trusted.', 4],
  ['security.', 6],
];

/** The attributes that follow an inode; empty for none. @throws VarveError TAR_BAD_XATTR for more than 256 KiB. */
export function encodeXattrs(xattrs: ReadonlyMap<string, Buffer> | undefined): Buffer {
  if (!xattrs || xattrs.size === 0) return none;
  const parts: Buffer[] = [Buffer.alloc(xattrHeaderBytes)];
  let total = 0;
  for (const [name, value] of xattrs) {
    const [prefix, index] = xattrPrefixes.find(([text]) => name.startsWith(text)) ?? ['', 0];
    const rest = Buffer.from(name.slice(prefix.length), 'latin1');
    const used = 4 + rest.length + value.length;
    const part = Buffer.alloc((used + 3) & ~3);
    part[0] = rest.length;
    part[1] = index;
    part.writeUInt16LE(value.length, 2);
    rest.copy(part, 4);
    value.copy(part, 4 + rest.length);
    parts.push(part);
    total += part.length;
    if (total > maxXattrsBytes)
      throw layerError('TAR_BAD_XATTR', 'more attributes than a file can have', name);
  }
  return Buffer.concat(parts);
}

const none = Buffer.alloc(0);

/** The other way round: what {@link encodeXattrs} wrote. */
export function decodeXattrs(bytes: Buffer): Xattr[] {
  const xattrs: Xattr[] = [];
  for (let at = xattrHeaderBytes; at + 4 <= bytes.length; ) {
    const [nameBytes, index, valueBytes] = [bytes.readUInt8(at), bytes[at + 1], bytes.readUInt16LE(at + 2)];
    const valueAt = at + 4 + nameBytes;
    const prefix = xattrPrefixes.find(([, number]) => number === index)?.[0] ?? '';
    xattrs.push({
      name: Buffer.concat([Buffer.from(prefix), bytes.subarray(at + 4, valueAt)]),
      value: bytes.subarray(valueAt, valueAt + valueBytes),
    });
    at = (valueAt + valueBytes + 3) & ~3;
  }
  return xattrs;
}

const direntTypes: Readonly<Record<number, number>> = {
  [types.regular]: 1,
  [types.directory]: 2,
  [types.character]: 3,
  [types.block]: 4,
  [types.fifo]: 5,
  [types.symlink]: 7,
};

/** A name in a directory. */
export interface Dirent {
  /** One character a byte. */
  readonly name: string;
  readonly nid: number;
  /** Type bits of the mode. */
  readonly type: number;
}

export const direntBytes = 12;

/** Fills `block` (zeros) with the names that fit it, which the caller has counted. */
export function encodeDirents(block: Buffer, entries: readonly Dirent[]): void {
  let nameAt = entries.length * direntBytes;
  entries.forEach(({ name, nid, type }, index) => {
    const at = index * direntBytes;
    block.writeUInt32LE(nid, at);
    block.writeUInt16LE(nameAt, at + 8);
    block[at + 10] = direntTypes[type] ?? 0;
    nameAt += block.write(name, nameAt, 'latin1');
  });
}
