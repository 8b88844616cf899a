import { writeSync } from 'node:fs';

const invalidateInode = 2; // FUSE_NOTIFY_INVAL_INODE
const message = Buffer.alloc(40);

/** Makes the kernel ask for a node's attributes the next time; it may do so while a request is being answered. */
export function notifyAttributes(connection: number, node: number): void {
  message.writeUInt32LE(message.length, 0);
  message.writeInt32LE(invalidateInode, 4);
  message.writeBigUInt64LE(BigInt(node), 16);
  // An offset below 0: its pages stay.
  message.writeBigInt64LE(-1n, 24);
  try {
    writeSync(connection, message);
  } catch {
    // ENOENT: the kernel does not know it (any more), so it has nothing to forget.
  }
}
