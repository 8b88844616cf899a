import { VarveError } from '../../../base/index.ts';

/*
 * The tables of a thin pool as they lie on its metadata device, in blocks of 4,096 bytes: the kernel's
 * drivers/md/dm-thin-metadata.c and persistent-data/dm-btree-internal.h. They are read from the snapshot of them that the
 * pool holds for readers (`reserve_metadata_snap`), so that nothing changes meanwhile.
 */

/** Reads one block. */
export type ReadBlock = (block: bigint) => Buffer;

export const metadataBlockBytes = 4096;

/** struct thin_disk_superblock. */
const superblock = { magic: 32, heldRoot: 56, mappings: 320, details: 328 } as const;
const superblockMagic = 27022010n;

/** struct node_header; the keys follow, then the values. */
const node = { flags: 4, blockNumber: 8, entries: 16, mostEntries: 20, valueBytes: 24, keys: 32 } as const;
const isInternal = 1;
/** More than any tree of 64-bit keys has levels, and more nodes than those of 16 TiB in the smallest blocks. */
const mostLevels = 16;
const mostNodes = 1 << 22;

/** struct disk_device_details: mapped_blocks, transaction_id, creation_time, snapshotted_time. */
const creationTimeOffset = 16;
/** A mapping is a block's number and, in the lower bits, when it was made. */
const timeMask = (1n << 24n) - 1n;

/**
 * Counts the blocks that a volume was given since it was made: new ones, and those written in place of its origin's.
 * @throws VarveError `data-loss` for tables that are none; `not-found` when the pool has no such volume.
 */
export function countOwnBlocks(read: ReadBlock, deviceId: number): number {
  const held = readSuperblock(read, 0n).readBigUInt64LE(superblock.heldRoot);
  if (held === 0n) throw damaged('no tables are held for readers');
  const root = readSuperblock(read, held);
  const details = find(read, root.readBigUInt64LE(superblock.details), BigInt(deviceId));
  const mappings = find(read, root.readBigUInt64LE(superblock.mappings), BigInt(deviceId));
  if (!details || !mappings) {
    throw new VarveError('not-found', 'NO_VOLUME', `the pool has no volume ${deviceId}`, {
      subject: String(deviceId),
    });
  }
  const since = BigInt(details.readUInt32LE(creationTimeOffset));
  let own = 0;
  let nodes = 0;
  const bounded: ReadBlock = (block) => {
    if (++nodes > mostNodes) throw damaged('a tree has no end');
    return read(block);
  };
  for (const value of leaves(bounded, mappings.readBigUInt64LE(), 0)) {
    if ((value.readBigUInt64LE() & timeMask) >= since) own++;
  }
  return own;
}

function damaged(what: string): VarveError {
  return new VarveError('data-loss', 'POOL_METADATA', `the thin pool's metadata cannot be read: ${what}`, {
    hint: 'check it with thin_check(8)',
  });
}

function readSuperblock(read: ReadBlock, block: bigint): Buffer {
  const bytes = read(block);
  if (bytes.length === metadataBlockBytes && bytes.readBigUInt64LE(superblock.magic) === superblockMagic) {
    return bytes;
  }
  throw damaged(`block ${block} is no superblock`);
}

interface Node {
  readonly internal: boolean;
  readonly entries: number;
  key(index: number): bigint;
  value(index: number): Buffer;
}

function readNode(read: ReadBlock, block: bigint): Node {
  const bytes = read(block);
  if (bytes.length !== metadataBlockBytes || bytes.readBigUInt64LE(node.blockNumber) !== block) {
    throw damaged(`block ${block} is no node`);
  }
  const entries = bytes.readUInt32LE(node.entries);
  const most = bytes.readUInt32LE(node.mostEntries);
  const valueBytes = bytes.readUInt32LE(node.valueBytes);
  if (entries > most || valueBytes < 8 || node.keys + most * (8 + valueBytes) > metadataBlockBytes) {
    throw damaged(`block ${block} holds more than it can`);
  }
  const values = node.keys + most * 8;
  return {
    internal: (bytes.readUInt32LE(node.flags) & isInternal) !== 0,
    entries,
    key: (index) => bytes.readBigUInt64LE(node.keys + index * 8),
    value: (index) => bytes.subarray(values + index * valueBytes, values + (index + 1) * valueBytes),
  };
}

/** The value of a key of one tree. */
function find(read: ReadBlock, root: bigint, key: bigint): Buffer | undefined {
  let block = root;
  for (let level = 0; level < mostLevels; level++) {
    const current = readNode(read, block);
    let index = -1;
    while (index + 1 < current.entries && current.key(index + 1) <= key) index++;
    if (index < 0) return undefined;
    if (!current.internal) return current.key(index) === key ? current.value(index) : undefined;
    block = current.value(index).readBigUInt64LE();
  }
  throw damaged('a tree has no end');
}

/** All values of one tree, in order. */
function* leaves(read: ReadBlock, block: bigint, level: number): Generator<Buffer> {
  if (level === mostLevels) throw damaged('a tree has no end');
  const current = readNode(read, block);
  for (let index = 0; index < current.entries; index++) {
    const value = current.value(index);
    if (current.internal) yield* leaves(read, value.readBigUInt64LE(), level + 1);
    else yield value;
  }
}
