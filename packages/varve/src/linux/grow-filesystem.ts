import { closeSync, constants, openSync, statfsSync } from 'node:fs';
import { VarveError } from '../base/index.ts';
import { filesystemName } from './filesystem.ts';
import { background, declare, lastErrno, systemError } from './libc.ts';

const ioctl = declare<(fd: number, request: number, argument: Buffer) => number>(
  'int ioctl(int fd, unsigned long request, void *argument)',
);

const requests = {
  /** EXT4_IOC_RESIZE_FS: a u64, the new number of blocks. ext4's documentation, "Ioctls" */
  extfs: 0x4008_6610,
  /** XFS_IOC_FSGROWFSDATA: struct xfs_growfs_data. ioctl_xfs_fsgrowfs(2) */
  xfs: 0x4010_586e,
  /** XFS_IOC_FSGEOMETRY_V1: struct xfs_fsop_geom_v1. ioctl_xfs_fsgeometry(2) */
  xfsGeometry: 0x8070_5864,
} as const;

const geometryBytes = 112;
/** Of struct xfs_fsop_geom_v1: imaxpct, the share that inodes may take. */
const inodeShareOffset = 28;

/**
 * Grows a mounted, writable ext4 or XFS to the first `bytes` of its disk. It keeps its size when that is what it has. On
 * another thread.
 * @throws VarveError with the errno's name as code; `not-implemented` for another file system.
 */
export async function growFilesystem(path: string, bytes: number): Promise<void> {
  const type = filesystemName(path);
  const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    const [request, argument] = growth(type, fd, path, bytes);
    const { result, errno } = await background(ioctl, fd, request, argument);
    if (result < 0) throw systemError(`ioctl to grow ${type}`, path, errno);
  } finally {
    closeSync(fd);
  }
}

function growth(type: string, fd: number, path: string, bytes: number): readonly [number, Buffer] {
  const blocks = BigInt(Math.floor(bytes / statfsSync(path).bsize));
  if (type === 'extfs') {
    const argument = Buffer.alloc(8);
    argument.writeBigUInt64LE(blocks);
    return [requests.extfs, argument];
  }
  if (type === 'xfs') {
    const geometry = Buffer.alloc(geometryBytes);
    if (ioctl(fd, requests.xfsGeometry, geometry) < 0)
      throw systemError('ioctl XFS_IOC_FSGEOMETRY', path, lastErrno());
    const argument = Buffer.alloc(16);
    argument.writeBigUInt64LE(blocks);
    argument.writeUInt32LE(geometry.readUInt32LE(inodeShareOffset), 8);
    return [requests.xfs, argument];
  }
  throw new VarveError(
    'not-implemented',
    'CANNOT_GROW',
    `a file system of type ${type} cannot be grown here`,
    {
      subject: path,
    },
  );
}
