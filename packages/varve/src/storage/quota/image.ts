import {
  closeSync,
  ftruncateSync,
  lstatSync,
  mkdirSync,
  openSync,
  rmdirSync,
  rmSync,
  statSync,
} from 'node:fs';
import { join } from 'node:path';
import { VarveError } from '../../base/index.ts';
import { attachLoop, findProgram, mountFilesystem, run } from '../../linux/index.ts';

/**
 * A file system in a file beside a snapshot, as large as the snapshot may grow: a limit on any disk that holds files.
 *
 *     <snapshot>/limited.ext4   the image; takes only the blocks that are used
 *     <snapshot>/limited/       mount point, while somebody looks into it
 */
export interface ImagePaths {
  readonly image: string;
  readonly root: string;
}

export function imagePaths(snapshot: string): ImagePaths {
  return { image: join(snapshot, 'limited.ext4'), root: join(snapshot, 'limited') };
}

const blockBytes = 4096;
const mebibyte = 2 ** 20;

/** Smaller ones have no room for a journal. */
const minBytes = 4 * mebibyte;

/**
 * Bytes of an image in which `size` bytes are free (within 3 in 1,000, measured from 8 MiB to 1 TiB; 4 MiB is the least):
 * besides them an inode of 256 bytes for each block, so that small files do not run out of them, the journal, bitmaps and
 * descriptors, and what the kernel keeps back (a fiftieth, 16 MiB at most). What of it is not used takes no room.
 */
function imageBytes(size: number): number {
  const free = Math.max(size, minBytes);
  const used = free + free / 15 + free / 8192 + journalMebibytes(free) * mebibyte + mebibyte / 4;
  const whole = used + Math.min(used / 49, 16 * mebibyte);
  return Math.ceil(whole / blockBytes) * blockBytes;
}

/** Of a larger journal, all would be written and take its room in time. */
function journalMebibytes(size: number): number {
  return size < 256 * mebibyte ? 4 : 16;
}

/**
 * Makes the image of an empty file system; a 10 GiB one takes 10 ms and 4 MiB.
 * @throws VarveError `not-found` where there is no mkfs.ext4, `exhausted` when the disk is full.
 */
export async function makeImage(snapshot: string, size: number): Promise<void> {
  const { image, root } = imagePaths(snapshot);
  const fd = openSync(image, 'wx', 0o600);
  try {
    ftruncateSync(fd, imageBytes(size));
  } finally {
    closeSync(fd);
  }
  // No block is reserved for root, which is who writes here. A fresh file reads as zeros and need not be written.
  const features = ['-O', '^resize_inode', '-I', '256', '-i', String(blockBytes), '-b', String(blockBytes)];
  const extended = 'nodiscard,lazy_itable_init=0,assume_storage_prezeroed=1';
  const journal = `size=${journalMebibytes(size)}`;
  const args = ['-q', '-F', '-m', '0', ...features, '-J', journal, '-E', extended, image];
  const { code, stderr } = await run(findProgram('mkfs.ext4'), args);
  if (code !== 0) {
    const reason = stderr.toString().trim();
    throw new VarveError('internal', 'MKFS_FAILED', `mkfs.ext4 of ${image} failed: ${reason}`, {
      subject: image,
    });
  }
  mkdirSync(root, { mode: 0o700 });
}

/** Mounts the image over a loop device that ends with the mount. Freed blocks go back to the disk at once. */
export function mountImage(snapshot: string): void {
  const { image, root } = imagePaths(snapshot);
  using device = attachLoop(image);
  mountFilesystem(
    'ext4',
    [
      ['source', device.path],
      ['discard', true],
    ],
    root,
  );
}

export function isImageMounted(snapshot: string): boolean {
  const root = lstatSync(imagePaths(snapshot).root, { throwIfNoEntry: false });
  return root !== undefined && root.dev !== lstatSync(snapshot).dev;
}

/** Bytes that the image takes on disk. */
export function imageDiskBytes(snapshot: string): number {
  return statSync(imagePaths(snapshot).image).blocks * 512;
}

/** Deletes an image that is not mounted; nothing when there is none. */
export function removeImage(snapshot: string): void {
  const { image, root } = imagePaths(snapshot);
  rmSync(image, { force: true });
  try {
    rmdirSync(root);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}
