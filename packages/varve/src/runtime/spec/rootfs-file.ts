import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { VarveError } from '../../base/index.ts';
import { check, closeFd, errno, openat2, openFlags, resolveFlags } from '../../linux/index.ts';

/** /etc/passwd of the largest sites is below this; an image with a larger one is hostile or broken (CVE-2024-9676). */
const MAX_BYTES = 4 * 1024 * 1024;

/**
 * Reads a regular file as a process in the container would see it: links, also absolute ones, stay inside the root
 * (openat2(2), RESOLVE_IN_ROOT). Undefined when there is none. A FIFO, device or folder is not opened at all.
 * @throws VarveError `invalid` when it is no regular file or too large.
 */
export function readRootfsFile(rootfs: string, path: string): string | undefined {
  const root = openSync(rootfs, constants.O_RDONLY | constants.O_DIRECTORY);
  let handle = -1;
  try {
    handle = openat2(root, path, openFlags.path, 0, resolveFlags.inRoot | resolveFlags.noMagicLinks);
    if (handle === -errno.ENOENT || handle === -errno.ENOTDIR || handle === -errno.ELOOP) return undefined;
    check(handle, 'openat2', path);
    const stats = fstatSync(handle);
    if (!stats.isFile() || stats.size > MAX_BYTES) {
      throw new VarveError(
        'invalid',
        'BAD_ROOTFS_FILE',
        `"${path}" of the image is not a small regular file`,
        {
          subject: path,
        },
      );
    }
    const fd = openSync(`/proc/self/fd/${handle}`, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      const bytes = Buffer.alloc(stats.size);
      let length = 0;
      while (length < bytes.length) {
        const count = readSync(fd, bytes, length, bytes.length - length, length);
        if (count === 0) break;
        length += count;
      }
      return bytes.toString('utf8', 0, length);
    } finally {
      closeSync(fd);
    }
  } finally {
    if (handle >= 0) closeFd(handle);
    closeSync(root);
  }
}
