import { errno, result, type SysResult } from './errno.ts';
import { declare } from './libc.ts';

/*
 * Project quotas: folders with an id, whose files count against one limit whoever owns them (XFS with `prjquota`, ext4 with
 * the feature `project` and `prjquota`). ioctl_xfs_fssetxattr(2), quotactl_fd(2); structures of uapi linux/fs.h, linux/dqblk_xfs.h.
 */

const ioctl = declare<(fd: number, request: number, argument: Buffer) => number>(
  'int ioctl(int fd, unsigned long request, void *argument)',
);
const quotactl = declare<(nr: number, fd: number, command: number, id: number, address: Buffer) => number>(
  'long syscall(long nr, unsigned int fd, unsigned int cmd, uint32_t id, void *addr)',
);

/** quotactl_fd(2), Linux 5.14; before it the call wants the disk's name. */
const quotactlFdNumber = 443;
const projectType = 2; // PRJQUOTA
const command = (number: number): number => ((0x5800 + number) << 8) | projectType;
const commands = {
  /** Q_XGETQUOTA: struct fs_disk_quota. */
  get: command(3),
  /** Q_XSETQLIM: struct fs_disk_quota. */
  setLimit: command(4),
  /** Q_XGETQSTATV: struct fs_quota_statv. */
  state: command(8),
} as const;
const attributeRequests = {
  /** FS_IOC_FSGETXATTR: struct fsxattr. */
  get: 0x801c_581f,
  /** FS_IOC_FSSETXATTR: struct fsxattr. */
  set: 0x401c_5820,
} as const;

const attributeBytes = 28;
const projectIdOffset = 12;
const inherit = 0x200; // FS_XFLAG_PROJINHERIT
const quotaBytes = 112;
const stateBytes = 256;
const enforced = 1 << 5; // FS_QUOTA_PDQ_ENFD
const hardBlocks = 1 << 3; // FS_DQ_BHARD
const blockBytes = 512n;

/** Gives an open folder a project id, which all that is made in it inherits. -EOPNOTSUPP or -ENOTTY where there are none. */
export function setProjectId(folder: number, id: number): SysResult {
  const attributes = Buffer.alloc(attributeBytes);
  const got = result(ioctl(folder, attributeRequests.get, attributes));
  if (got < 0) return got;
  attributes.writeUInt32LE((attributes.readUInt32LE(0) | inherit) >>> 0, 0);
  attributes.writeUInt32LE(id, projectIdOffset);
  return result(ioctl(folder, attributeRequests.set, attributes));
}

/**
 * Whether the file system of an open folder holds projects to their limits; -ENOSYS, -ESRCH and others where it has no
 * quotas or they are off.
 */
export function enforcesProjectQuota(folder: number): boolean | SysResult {
  const state = Buffer.alloc(stateBytes);
  state.writeInt8(1, 0); // FS_QSTATV_VERSION1
  const got = result(quotactl(quotactlFdNumber, folder, commands.state, 0, state));
  return got < 0 ? got : (state.readUInt16LE(2) & enforced) !== 0;
}

/** Whether files count against a project, or a limit is set for it. */
export function isProjectUsed(folder: number, id: number): boolean | SysResult {
  const quota = Buffer.alloc(quotaBytes);
  const got = result(quotactl(quotactlFdNumber, folder, commands.get, id, quota));
  if (got === -errno.ENOENT) return false;
  if (got < 0) return got;
  // d_bcount, d_icount.
  return quota.readBigUInt64LE(40) !== 0n || quota.readBigUInt64LE(48) !== 0n;
}

/** Limits what the files of a project may take; 0 for no limit. Writes beyond it fail with ENOSPC on XFS, EDQUOT on ext4. */
export function limitProject(folder: number, id: number, bytes: number): SysResult {
  const quota = Buffer.alloc(quotaBytes);
  quota.writeInt8(1, 0); // d_version
  quota.writeInt8(projectType, 1); // d_flags: FS_PROJ_QUOTA
  quota.writeUInt16LE(hardBlocks, 2);
  quota.writeUInt32LE(id, 4);
  quota.writeBigUInt64LE(BigInt(bytes) / blockBytes, 8);
  return result(quotactl(quotactlFdNumber, folder, commands.setLimit, id, quota));
}
