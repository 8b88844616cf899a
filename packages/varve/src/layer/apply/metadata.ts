import {
  check,
  errno,
  fchmod,
  fchmodat,
  fchown,
  fchownat,
  futimens,
  listXattrs,
  pathBelow,
  removeXattr,
  setXattr,
  utimensat,
} from '../../linux/index.ts';
import { layerError } from '../errors.ts';
import type { TarEntry, Xattr } from '../tar/entry.ts';
import { isLocalXattr, overlayXattrs } from '../whiteouts.ts';

/*
 * The kernel's order: owner first, since chown(2) clears setuid, setgid and file capabilities; then mode; then attributes;
 * times last, since everything before changes them.
 */

/** Inherited by what is made in a folder, so it must wait until all of it is made. */
export const defaultAcl = 'system.posix_acl_default';

/**
 * Which attributes of an image are set, and under which name. Those of overlayfs would change what the mounted stack
 * shows: below an overlay they are escaped, so that a container sees its own again; elsewhere they are dropped.
 */
export function xattrName(name: Buffer, overlay: boolean): Buffer | undefined {
  const text = name.toString('latin1');
  if (text.startsWith(overlayXattrs.user)) return undefined;
  if (!text.startsWith(overlayXattrs.trusted)) return name;
  if (!overlay) return undefined;
  return Buffer.from(overlayXattrs.escaped + text.slice(overlayXattrs.trusted.length), 'latin1');
}

/** Names too long, values too large or without the form their name asks for. */
const refusals: ReadonlySet<number> = new Set([-errno.EINVAL, -errno.ERANGE, -errno.E2BIG]);

/** Sets attributes on an open file or on a path that is not followed. What the file system cannot hold is left out. */
export function applyXattrs(
  target: number | Buffer,
  xattrs: readonly Xattr[],
  overlay: boolean,
  except?: string,
): void {
  for (const { name, value } of xattrs) {
    const to = xattrName(name, overlay);
    if (to === undefined || (except !== undefined && name.toString('latin1') === except)) continue;
    const done = setXattr(target, to, value);
    // user.* exists on files and folders only: EPERM elsewhere, as when an archive comes from another system.
    const lenient =
      done === -errno.EOPNOTSUPP || (done === -errno.EPERM && to.toString('latin1').startsWith('user.'));
    if (lenient) continue;
    if (refusals.has(done)) throw layerError('TAR_BAD_XATTR', 'an attribute that the kernel refuses', to);
    check(done, `setxattr ${to.toString('latin1')}`, typeof target === 'number' ? `fd ${target}` : target);
  }
}

/** Removes the attributes that `keep` does not have, but for those that are this machine's own. */
export function dropXattrs(fd: number, keep: readonly Xattr[]): void {
  const names = listXattrs(fd);
  if (typeof names === 'number') return;
  for (const name of names) {
    if (isLocalXattr(name) || keep.some((xattr) => xattr.name.equals(name))) continue;
    check(removeXattr(fd, name), 'removexattr', name);
  }
}

/** Owner and mode, to which a caller's own wish comes first (`COPY --chown`). */
export interface Ownership {
  readonly uid: number;
  readonly gid: number;
}

/** Owner, mode, attributes and times of an open file. */
export function applyToFd(fd: number, entry: TarEntry, owner: Ownership, overlay: boolean): void {
  check(fchown(fd, owner.uid, owner.gid), 'fchown', entry.name);
  check(fchmod(fd, entry.mode), 'fchmod', entry.name);
  if (entry.xattrs.length > 0) applyXattrs(fd, entry.xattrs, overlay);
  check(futimens(fd, entry.atime ?? entry.mtime, entry.mtime), 'futimens', entry.name);
}

/** The same for a name below a folder, which is not followed: links, devices and fifos, which are not opened. */
export function applyToName(
  dirfd: number,
  base: Buffer,
  entry: TarEntry,
  owner: Ownership,
  overlay: boolean,
): void {
  check(fchownat(dirfd, base, owner.uid, owner.gid), 'fchownat', entry.name);
  if (entry.type !== 'symlink') check(fchmodat(dirfd, base, entry.mode), 'fchmodat', entry.name);
  if (entry.xattrs.length > 0) applyXattrs(pathBelow(dirfd, base), entry.xattrs, overlay);
  check(utimensat(dirfd, base, entry.atime ?? entry.mtime, entry.mtime), 'utimensat', entry.name);
}
