import type { FileStat, TimeSpec } from '../../../../linux/index.ts';
import { maxTransfer, sizes } from './protocol.ts';

/** What the kernel is told of a file. */
export interface Attributes {
  readonly stat: FileStat;
  readonly inode: bigint;
  readonly nlink: number;
  /** Seconds for which the kernel need not ask again. */
  readonly validSeconds: number;
}

/** Seconds for which a name holds: only requests through the mount change the tree. */
const nameSeconds = 3600;

/** The answer being made, over one reused buffer. Offsets count from behind the header. */
export class Reply {
  readonly buffer = Buffer.allocUnsafeSlow(maxTransfer + 8192);
  readonly #view = new DataView(this.buffer.buffer);

  /** Writes the header; gives the bytes to send. */
  seal(unique: bigint, status: number): number {
    const length = sizes.outHeader + Math.max(0, status);
    this.#view.setUint32(0, length, true);
    this.#view.setInt32(4, Math.min(0, status), true);
    this.#view.setBigUint64(8, unique, true);
    return length;
  }

  clear(offset: number, length: number): void {
    this.buffer.fill(0, sizes.outHeader + offset, sizes.outHeader + offset + length);
  }

  u16(offset: number, value: number): void {
    this.#view.setUint16(sizes.outHeader + offset, value, true);
  }

  u32(offset: number, value: number): void {
    this.#view.setUint32(sizes.outHeader + offset, value, true);
  }

  /** Up to 2^53, or negative. */
  u64(offset: number, value: number): void {
    this.u32(offset, value >>> 0);
    this.u32(offset + 4, Math.floor(value / 2 ** 32) >>> 0);
  }

  bytes(offset: number, value: Buffer): void {
    value.copy(this.buffer, sizes.outHeader + offset);
  }

  /** struct fuse_entry_out; gives its size. */
  entry(offset: number, node: number, attributes: Attributes): number {
    this.u64(offset, node);
    this.u64(offset + 8, 0);
    this.u64(offset + 16, nameSeconds);
    this.u64(offset + 24, attributes.validSeconds);
    this.u64(offset + 32, 0);
    this.#attributes(offset + 40, attributes);
    return sizes.entry;
  }

  /** struct fuse_entry_out for a name that is not there: the kernel remembers that too. */
  noEntry(): number {
    this.clear(0, sizes.entry);
    this.u64(16, nameSeconds);
    return sizes.entry;
  }

  /** struct fuse_attr_out; gives its size. */
  attributes(attributes: Attributes): number {
    this.u64(0, attributes.validSeconds);
    this.u64(8, 0);
    this.#attributes(16, attributes);
    return sizes.attributesReply;
  }

  /** struct fuse_open_out; gives its size. */
  open(offset: number, handle: number, flags: number, backing = 0): number {
    this.u64(offset, handle);
    this.u32(offset + 8, flags);
    this.u32(offset + 12, backing);
    return sizes.open;
  }

  #attributes(offset: number, { stat, inode, nlink }: Attributes): void {
    this.#view.setBigUint64(sizes.outHeader + offset, inode, true);
    this.u64(offset + 8, stat.size);
    this.u64(offset + 16, stat.blocks);
    const times: readonly TimeSpec[] = [stat.atime, stat.mtime, stat.ctime];
    times.forEach(({ seconds, nanoseconds }, index) => {
      this.u64(offset + 24 + index * 8, seconds);
      this.u32(offset + 48 + index * 4, nanoseconds);
    });
    this.u32(offset + 60, stat.mode);
    this.u32(offset + 64, nlink);
    this.u32(offset + 68, stat.uid);
    this.u32(offset + 72, stat.gid);
    this.u32(offset + 76, encodeDevice(stat.rdevMajor, stat.rdevMinor));
    this.u32(offset + 80, 4096);
    this.u32(offset + 84, 0);
  }
}

/** The kernel's new_encode_dev: 12 bits of major number, 20 of minor. */
function encodeDevice(major: number, minor: number): number {
  return ((minor & 0xff) | (major << 8) | ((minor & ~0xff) << 12)) >>> 0;
}

/** The other way round, as MKNOD sends it. */
export function decodeDevice(device: number): { readonly major: number; readonly minor: number } {
  return { major: (device >>> 8) & 0xfff, minor: (device & 0xff) | ((device >>> 12) & 0xfff00) };
}
