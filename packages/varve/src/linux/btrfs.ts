import { closeSync, constants, openSync } from 'node:fs';
import { errno, result, type SysResult } from './errno.ts';
import { background, declare, systemError } from './libc.ts';

/*
 * Subvolumes of btrfs. The requests and their structures are those of the kernel's uapi linux/btrfs.h; ioctl(2) encodes
 * direction (1: to the kernel, 2: from it), size of the structure and number. They are the same on x86-64 and arm64.
 */

const ioctl = declare<(fd: number, request: number, argument: Buffer) => number>(
  'int ioctl(int fd, unsigned long request, void *argument)',
);

const magic = 0x94; // BTRFS_IOCTL_MAGIC
const toKernel = 1;
const fromKernel = 2;

function request(direction: number, number: number, size: number): number {
  return ((direction << 30) | (size << 16) | (magic << 8) | number) >>> 0;
}

/** Of struct btrfs_ioctl_vol_args and btrfs_ioctl_vol_args_v2. */
const volumeBytes = 4096;
const requests = {
  /** BTRFS_IOC_SUBVOL_CREATE: struct btrfs_ioctl_vol_args. */
  create: request(toKernel, 14, volumeBytes),
  /** BTRFS_IOC_SYNC: nothing. */
  sync: request(0, 8, 0),
  /** BTRFS_IOC_SNAP_DESTROY: struct btrfs_ioctl_vol_args. */
  destroy: request(toKernel, 15, volumeBytes),
  /** BTRFS_IOC_TREE_SEARCH: struct btrfs_ioctl_search_args. */
  search: request(toKernel | fromKernel, 17, volumeBytes),
  /** BTRFS_IOC_INO_LOOKUP: struct btrfs_ioctl_ino_lookup_args. */
  lookup: request(toKernel | fromKernel, 18, volumeBytes),
  /** BTRFS_IOC_SNAP_CREATE_V2: struct btrfs_ioctl_vol_args_v2. */
  snapshot: request(toKernel, 23, volumeBytes),
  /** BTRFS_IOC_QUOTA_CTL: struct btrfs_ioctl_quota_ctl_args. */
  quota: request(toKernel | fromKernel, 40, 16),
  /** BTRFS_IOC_QGROUP_LIMIT: struct btrfs_ioctl_qgroup_limit_args; it is _IOR there, though the kernel reads it. */
  limit: request(fromKernel, 43, 48),
  /** BTRFS_IOC_QUOTA_RESCAN_WAIT: nothing. */
  rescanned: request(0, 46, 0),
  /** BTRFS_IOC_SUBVOL_SYNC_WAIT: struct btrfs_ioctl_subvol_wait. */
  destroyed: request(toKernel, 65, 16),
} as const;

/** Inode of every subvolume's root folder: BTRFS_FIRST_FREE_OBJECTID of linux/btrfs_tree.h. */
export const subvolumeInode = 256n;

/** Bytes of a name, its NUL not counted: BTRFS_VOL_NAME_MAX. */
const nameMax = 255;

/** A structure that starts with a descriptor and has a name at `offset`. */
function volumeArguments(fd: number, name: Buffer, offset: number): Buffer {
  const block = Buffer.alloc(volumeBytes);
  block.writeBigInt64LE(BigInt(fd), 0);
  name.copy(block, offset);
  return block;
}

/** Makes an ioctl on another thread, since most of these wait for a transaction to reach the disk. */
async function call(
  what: string,
  path: string,
  number: number,
  block: (fd: number) => Buffer,
): Promise<void> {
  const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    const argument = block(fd);
    const { result, errno } = await background(ioctl, fd, number, argument);
    if (result < 0) throw systemError(`ioctl ${what}`, path, errno);
  } finally {
    closeSync(fd);
  }
}

/**
 * Makes an empty subvolume `name` in `folder`; its root has mode 0777 less the umask. BTRFS_IOC_SUBVOL_CREATE
 * @throws VarveError with the errno's name as code; `ENOTTY` where `folder` is not on btrfs.
 */
export async function createSubvolume(folder: string, name: string): Promise<void> {
  await call('BTRFS_IOC_SUBVOL_CREATE', folder, requests.create, () =>
    volumeArguments(0, Buffer.from(name), 8),
  );
}

/**
 * Makes `name` in `folder` a writable snapshot of the subvolume `source`: all its content at this moment, shared until
 * written to; subvolumes in it are empty folders there. When it returns the snapshot is on disk, for the kernel commits a
 * transaction for each, which takes as long as the disk is busy. BTRFS_IOC_SNAP_CREATE_V2
 * @throws VarveError with the errno's name as code.
 */
export async function snapshotSubvolume(source: string, folder: string, name: string): Promise<void> {
  const from = openSync(source, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    // fd, transid, flags and 32 unused bytes come before the name.
    await call('BTRFS_IOC_SNAP_CREATE_V2', folder, requests.snapshot, () =>
      volumeArguments(from, Buffer.from(name), 56),
    );
  } finally {
    closeSync(from);
  }
}

/**
 * Deletes the subvolume `name` of an open folder; its space comes back when the kernel's cleaner has run, and its open files
 * live on. -ENOTEMPTY while it has subvolumes in it, -EINVAL when it is none. BTRFS_IOC_SNAP_DESTROY
 */
export function destroySubvolume(folder: number, name: Buffer): SysResult {
  if (name.length > nameMax) return -errno.ENAMETOOLONG;
  return result(ioctl(folder, requests.destroy, volumeArguments(0, name, 8)));
}

/**
 * Writes back the file system of an open folder and wakes the kernel's cleaner, which gives back the space of destroyed
 * subvolumes and otherwise sleeps for 30 s. It does not wait for the cleaner. BTRFS_IOC_SYNC
 */
export function wakeSubvolumeCleaner(folder: number): SysResult {
  return result(ioctl(folder, requests.sync, Buffer.alloc(1)));
}

const countQueued = 2; // BTRFS_SUBVOL_SYNC_COUNT

/**
 * Destroyed subvolumes of the file system of an open folder whose space is not given back yet. -ENOTTY before Linux 6.13.
 * BTRFS_IOC_SUBVOL_SYNC_WAIT, in its mode that does not wait.
 */
export function countDestroyedSubvolumes(folder: number): SysResult {
  // subvolid, mode, count.
  const block = Buffer.alloc(16);
  block.writeUInt32LE(countQueued, 8);
  const done = result(ioctl(folder, requests.destroyed, block));
  return done < 0 ? done : block.readUInt32LE(12);
}

const enable = 1n; // BTRFS_QUOTA_CTL_ENABLE

/**
 * Turns quotas on for the file system that holds `path`, and waits until the kernel has counted what is there.
 * BTRFS_IOC_QUOTA_CTL, BTRFS_IOC_QUOTA_RESCAN_WAIT
 */
export async function enableBtrfsQuota(path: string): Promise<void> {
  await call('BTRFS_IOC_QUOTA_CTL', path, requests.quota, () => {
    const block = Buffer.alloc(16);
    block.writeBigUInt64LE(enable, 0);
    return block;
  });
  await call('BTRFS_IOC_QUOTA_RESCAN_WAIT', path, requests.rescanned, () => Buffer.alloc(1));
}

const quotaTree = 8n; // BTRFS_QUOTA_TREE_OBJECTID
const quotaInfo = 242; // BTRFS_QGROUP_INFO_KEY
/** Of struct btrfs_ioctl_search_args: the key, then what is found, each behind a struct btrfs_ioctl_search_header. */
const keyBytes = 104;
const headerBytes = 32;
const anything = 0xffff_ffff_ffff_ffffn;

/**
 * Bytes that the subvolume `path` refers to, and those of them that nothing else does, as of the last transaction; undefined
 * while quotas are off. BTRFS_IOC_INO_LOOKUP, BTRFS_IOC_TREE_SEARCH
 */
export function subvolumeUsage(
  path: string,
): { readonly referenced: number; readonly exclusive: number } | undefined {
  const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    // treeid, objectid, name.
    const lookup = Buffer.alloc(volumeBytes);
    lookup.writeBigUInt64LE(subvolumeInode, 8);
    if (ioctl(fd, requests.lookup, lookup) < 0) return undefined;
    const id = lookup.readBigUInt64LE(0);
    // tree_id, {min,max}_objectid, {min,max}_offset, {min,max}_transid, {min,max}_type, nr_items.
    const search = Buffer.alloc(volumeBytes);
    [quotaTree, 0n, 0n, id, id, 0n, anything].forEach((value, at) => search.writeBigUInt64LE(value, at * 8));
    [quotaInfo, quotaInfo, 1].forEach((value, at) => search.writeUInt32LE(value, 56 + at * 4));
    if (ioctl(fd, requests.search, search) < 0 || search.readUInt32LE(64) === 0) return undefined;
    // generation, rfer, rfer_cmpr, excl, excl_cmpr.
    const item = search.subarray(keyBytes + headerBytes);
    return { referenced: Number(item.readBigUInt64LE(8)), exclusive: Number(item.readBigUInt64LE(24)) };
  } finally {
    closeSync(fd);
  }
}

const maxReferenced = 1n; // BTRFS_QGROUP_LIMIT_MAX_RFER

const noLimit = anything;

/**
 * Limits what the subvolume `path` may refer to, shared or not; writes beyond it give EDQUOT. Snapshots of it start with the
 * same limit. `undefined` takes the limit away. BTRFS_IOC_QGROUP_LIMIT
 * @throws VarveError with the errno's name as code: `ENOTCONN` (`EINVAL` before Linux 5.9) while quotas are off.
 */
export async function limitSubvolume(path: string, bytes: number | undefined): Promise<void> {
  await call('BTRFS_IOC_QGROUP_LIMIT', path, requests.limit, () => {
    // qgroupid 0 is the subvolume's own; then flags, max_rfer, max_excl, rsv_rfer, rsv_excl.
    const block = Buffer.alloc(48);
    block.writeBigUInt64LE(maxReferenced, 8);
    block.writeBigUInt64LE(bytes === undefined ? noLimit : BigInt(bytes), 16);
    return block;
  });
}
