import {
  check,
  errno,
  fchmod,
  fchmodat,
  fchown,
  fchownat,
  ftruncate,
  futimens,
  openat,
  close,
  statFd,
  type TimeSpec,
  utimensat,
} from '../../../../linux/index.ts';
import { constants } from 'node:fs';
import { bytes } from './names.ts';
import type { FileNode, UnionNode } from './node.ts';
import { withoutSetId } from './open-files.ts';
import type { Union } from './union.ts';
import type { WritableBranch } from './writable-branch.ts';

/** What of a file's attributes is to change. */
export interface AttributeChange {
  readonly uid: number | undefined;
  readonly gid: number | undefined;
  readonly mode: number | undefined;
  readonly size: number | undefined;
  readonly atime: TimeSpec | undefined;
  readonly mtime: TimeSpec | undefined;
  /** The caller may not keep set-id bits. */
  readonly killSetId: boolean;
}

/** `nanoseconds` of utimensat(2) that mean the present and no change. */
export const utimeNow = (1 << 30) - 1;
const utimeOmit = (1 << 30) - 2;
const same = 0xffff_ffff;

/** Where a node's attributes are changed: a name below a folder of the writable branch, or a deleted file's descriptor. */
type Target =
  | { readonly dirfd: number; readonly name: Buffer }
  | { readonly fd: number; readonly name?: undefined };

/** Copies a node up if need be and says where it is. */
export function targetOf(union: Union, branch: WritableBranch, node: UnionNode, empty = false): Target {
  if (node.kind === 'folder') return { dirfd: branch.folder(node), name: bytes('.') };
  const [place] = node.places;
  if (!place) return { fd: openDescriptor(node) };
  branch.file(node, empty);
  const part = union.partOf(place.folder, 0);
  return { dirfd: check(part?.fd ?? -errno.ENOENT, 'find', 'a file'), name: bytes(place.name) };
}

function openDescriptor(node: FileNode): number {
  if (!node.open) return check(-errno.ENOENT, 'change', 'a deleted file');
  if (node.branch !== 0) return check(-errno.EROFS, 'change', 'a deleted file of a read-only branch');
  return node.open.fd;
}

/** Changes attributes in the order that the kernel's own rules need. @returns 0 or a negative errno. */
export function changeAttributes(
  union: Union,
  branch: WritableBranch,
  node: UnionNode,
  change: AttributeChange,
): number {
  const { uid, gid, mode, size } = change;
  if (size !== undefined && node.kind === 'file' && node.branch !== 0 && node.open && node.open.backing > 0) {
    union.detach(node);
    return -errno.ESTALE;
  }
  const target = targetOf(union, branch, node, size === 0);
  const at = target.name !== undefined;
  // chown(2) clears set-id bits, so the owner comes first.
  if (uid !== undefined || gid !== undefined) {
    const [user, group] = [uid ?? same, gid ?? same];
    const done = at ? fchownat(target.dirfd, target.name, user, group) : fchown(target.fd, user, group);
    check(done, 'chown', 'a file');
  }
  if (size !== undefined) truncate(target, node, size, change.killSetId);
  if (mode !== undefined) {
    const done = at ? fchmodat(target.dirfd, target.name, mode) : fchmod(target.fd, mode);
    check(done, 'chmod', 'a file');
  }
  if (change.atime || change.mtime) {
    const omit = { seconds: 0, nanoseconds: utimeOmit };
    const [atime, mtime] = [change.atime ?? omit, change.mtime ?? omit];
    check(
      at ? utimensat(target.dirfd, target.name, atime, mtime) : futimens(target.fd, atime, mtime),
      'utimensat',
      'a file',
    );
  }
  return 0;
}

function truncate(target: Target, node: UnionNode, size: number, killSetId: boolean): void {
  const own = node.kind === 'file' ? node.open : undefined;
  if (own && node.kind === 'file' && node.branch === 0) {
    own.makeWritable();
    truncateOpen(own.fd, size, killSetId);
    return;
  }
  if (target.name === undefined) return;
  const fd = check(
    openat(target.dirfd, target.name, constants.O_WRONLY | constants.O_NONBLOCK),
    'open',
    'a file',
  );
  try {
    truncateOpen(fd, size, killSetId);
  } finally {
    close(fd);
  }
}

function truncateOpen(fd: number, size: number, killSetId: boolean): void {
  check(ftruncate(fd, size), 'ftruncate', 'a file');
  const stat = statFd(fd);
  if (killSetId && typeof stat !== 'number') check(fchmod(fd, withoutSetId(stat)), 'fchmod', 'a file');
}
