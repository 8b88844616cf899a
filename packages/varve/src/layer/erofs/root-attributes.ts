import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import { inodeBytes, metaStart } from './format.ts';

/** Owner and mode of a layer's root folder. */
export interface RootAttributes {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

/** The root is the first inode of an index, after an empty place. */
const rootAt = metaStart + inodeBytes;

/** Reads the root folder's owner and mode from an index that is not mounted. */
export function readRootAttributes(index: string): RootAttributes {
  const fd = openSync(index, 'r');
  try {
    const inode = Buffer.alloc(inodeBytes);
    readSync(fd, inode, 0, inodeBytes, rootAt);
    return {
      mode: inode.readUInt16LE(4) & 0o7777,
      uid: inode.readUInt32LE(24),
      gid: inode.readUInt32LE(28),
    };
  } finally {
    closeSync(fd);
  }
}

/** Changes them in place; the index must not be mounted. Doing it again changes nothing. */
export function writeRootAttributes(index: string, { mode, uid, gid }: RootAttributes): void {
  const fd = openSync(index, 'r+');
  try {
    const inode = Buffer.alloc(inodeBytes);
    readSync(fd, inode, 0, inodeBytes, rootAt);
    const before = Buffer.from(inode);
    inode.writeUInt16LE((inode.readUInt16LE(4) & ~0o7777) | (mode & 0o7777), 4);
    inode.writeUInt32LE(uid, 24);
    inode.writeUInt32LE(gid, 28);
    if (!inode.equals(before)) writeSync(fd, inode, 0, inodeBytes, rootAt);
  } finally {
    closeSync(fd);
  }
}
