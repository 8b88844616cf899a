import { CString, type FileName } from './c-string.ts';
import { errno, result, type SysResult } from './errno.ts';
import { declare } from './libc.ts';

type Bytes = Buffer;
const libc = {
  lset: declare<(path: Bytes, name: Bytes, value: Bytes, size: number, flags: number) => number>(
    'int lsetxattr(const void *path, const void *name, const void *value, size_t size, int flags)',
  ),
  fset: declare<(fd: number, name: Bytes, value: Bytes, size: number, flags: number) => number>(
    'int fsetxattr(int fd, const void *name, const void *value, size_t size, int flags)',
  ),
  lget: declare<(path: Bytes, name: Bytes, into: Bytes, size: number) => number>(
    'long lgetxattr(const void *path, const void *name, void *into, size_t size)',
  ),
  fget: declare<(fd: number, name: Bytes, into: Bytes, size: number) => number>(
    'long fgetxattr(int fd, const void *name, void *into, size_t size)',
  ),
  llist: declare<(path: Bytes, into: Bytes, size: number) => number>(
    'long llistxattr(const void *path, void *into, size_t size)',
  ),
  flist: declare<(fd: number, into: Bytes, size: number) => number>(
    'long flistxattr(int fd, void *into, size_t size)',
  ),
  lremove: declare<(path: Bytes, name: Bytes) => number>(
    'int lremovexattr(const void *path, const void *name)',
  ),
  fremove: declare<(fd: number, name: Bytes) => number>('int fremovexattr(int fd, const void *name)'),
};

/** An open file, or a path whose last component is not followed. */
export type XattrTarget = number | FileName;

/**
 * The path of a name below an open folder, for calls that have no *at form. The folder is reached through its
 * descriptor, so nothing above it can be swapped.
 */
export function pathBelow(dirfd: number, name: FileName): Buffer {
  const bytes = typeof name === 'string' ? Buffer.from(name) : name;
  return Buffer.concat([Buffer.from(`/proc/self/fd/${dirfd}/`), bytes]);
}

/** XATTR_SIZE_MAX and XATTR_LIST_MAX of linux/limits.h. */
const buffer = Buffer.alloc(64 << 10);
const path = new CString();
const attribute = new CString();

/** setxattr(2): creates or replaces. */
export function setXattr(target: XattrTarget, name: FileName, value: Buffer): SysResult {
  let bad = attribute.set(name);
  if (bad < 0) return bad;
  if (typeof target === 'number') return result(libc.fset(target, attribute.buffer, value, value.length, 0));
  bad = path.set(target);
  return bad < 0 ? bad : result(libc.lset(path.buffer, attribute.buffer, value, value.length, 0));
}

/** getxattr(2): the value's bytes, undefined when there is none (or none is supported), or a negative errno. */
export function getXattr(target: XattrTarget, name: FileName): Buffer | undefined | SysResult {
  let bad = attribute.set(name);
  if (bad < 0) return bad;
  let size: number;
  if (typeof target === 'number') {
    size = result(libc.fget(target, attribute.buffer, buffer, buffer.length));
  } else {
    bad = path.set(target);
    if (bad < 0) return bad;
    size = result(libc.lget(path.buffer, attribute.buffer, buffer, buffer.length));
  }
  if (size === -errno.ENODATA || size === -errno.EOPNOTSUPP) return undefined;
  return size < 0 ? size : Buffer.from(buffer.subarray(0, size));
}

/** listxattr(2): the names, in the kernel's order; none where they are not supported; or a negative errno. */
export function listXattrs(target: XattrTarget): Buffer[] | SysResult {
  let size: number;
  if (typeof target === 'number') {
    size = result(libc.flist(target, buffer, buffer.length));
  } else {
    const bad = path.set(target);
    if (bad < 0) return bad;
    size = result(libc.llist(path.buffer, buffer, buffer.length));
  }
  if (size === -errno.EOPNOTSUPP) return [];
  if (size < 0) return size;
  const names: Buffer[] = [];
  for (let start = 0; start < size; ) {
    const end = buffer.indexOf(0, start);
    names.push(Buffer.from(buffer.subarray(start, end)));
    start = end + 1;
  }
  return names;
}

/** removexattr(2). */
export function removeXattr(target: XattrTarget, name: FileName): SysResult {
  let bad = attribute.set(name);
  if (bad < 0) return bad;
  if (typeof target === 'number') return result(libc.fremove(target, attribute.buffer));
  bad = path.set(target);
  return bad < 0 ? bad : result(libc.lremove(path.buffer, attribute.buffer));
}
