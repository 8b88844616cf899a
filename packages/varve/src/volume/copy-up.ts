import { randomBytes } from 'node:crypto';
import { closeSync, constants, mkdirSync, openSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { syncFolder } from '../base/index.ts';
import { check, errno, fileType, openat2, openFlags, resolveFlags, statFd } from '../linux/index.ts';
import { copyInBackground } from '../storage/index.ts';

const { O_DIRECTORY, O_RDONLY } = constants;

/** Names of unfinished copies in a volume's folder begin so. */
export const stagingPrefix = '.staging-';

/** Opens a folder as the container sees it: links and `..` end at the image's root. Undefined when it is none. */
function openInside(rootfs: string, path: string): number | undefined {
  const root = openSync(rootfs, O_RDONLY | O_DIRECTORY);
  try {
    const fd = openat2(
      root,
      path.replace(/^\/+/, '') || '.',
      O_RDONLY | openFlags.path,
      0,
      resolveFlags.inRoot | resolveFlags.noMagicLinks,
    );
    if (fd === -errno.ENOENT || fd === -errno.ENOTDIR || fd === -errno.ELOOP) return undefined;
    check(fd, 'openat2', path);
    const stat = statFd(fd);
    if (typeof stat !== 'number' && (stat.mode & fileType.mask) === fileType.directory) return fd;
    closeSync(fd);
    return undefined;
  } finally {
    closeSync(root);
  }
}

/**
 * Fills an empty volume with a folder of the image: files with owners, modes, links, extended attributes, times, and
 * the folder's own owner and mode. A volume with content, or an image without the folder, is left alone.
 * @param folder the volume's folder; the data are in `_data`.
 * @param shared others have the data mounted, or it is a mount itself: it is filled in place. Otherwise the copy is made
 * beside it and takes its place by rename(2), so a crash leaves it empty or whole.
 */
export async function copyUp(
  folder: string,
  image: { readonly rootfs: string; readonly path: string },
  shared: boolean,
): Promise<void> {
  const data = join(folder, '_data');
  if (readdirSync(data).length > 0) return;
  const source = openInside(image.rootfs, image.path);
  if (source === undefined) return;
  const staging = join(folder, `${stagingPrefix}${randomBytes(6).toString('hex')}`);
  try {
    // The trailing dot makes it the folder itself, not the descriptor's link, which the copy would not follow.
    const from = `/proc/self/fd/${source}/.`;
    if (shared) {
      await copyInBackground(from, data);
      return;
    }
    mkdirSync(staging, { mode: 0o700 });
    await copyInBackground(from, staging);
    renameSync(staging, data);
    syncFolder(folder);
  } catch (error) {
    rmSync(staging, { recursive: true, force: true });
    // Somebody wrote to the volume meanwhile: theirs stays.
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOTEMPTY')) throw error;
  } finally {
    closeSync(source);
  }
}
