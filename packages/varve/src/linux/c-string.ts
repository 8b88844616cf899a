import { errno } from './errno.ts';

/** A file name or path as the kernel knows it: bytes. Strings are taken as UTF-8. */
export type FileName = Buffer | string;

/** PATH_MAX of linux/limits.h, with its NUL. */
const pathMax = 4096;

/**
 * A reused NUL-terminated copy of a name. Calls take their names in these instead of a new buffer each, since an
 * extraction makes millions; the next {@link CString.set} overwrites it.
 */
export class CString {
  readonly buffer = Buffer.alloc(pathMax);

  /** @returns 0, or a negative errno: ENAMETOOLONG, or EINVAL for a NUL inside the name. */
  set(name: FileName): number {
    const bytes = typeof name === 'string' ? Buffer.from(name) : name;
    if (bytes.length >= pathMax) return -errno.ENAMETOOLONG;
    if (bytes.includes(0)) return -errno.EINVAL;
    bytes.copy(this.buffer);
    this.buffer[bytes.length] = 0;
    return 0;
  }
}
