import { closeSync, constants, openSync, statfsSync } from 'node:fs';
import {
  close,
  countDestroyedSubvolumes,
  destroySubvolume,
  errno,
  fileType,
  filesystemName,
  listFolder,
  openat,
  statAt,
  subvolumeInode,
  wakeSubvolumeCleaner,
} from '../../linux/index.ts';

const folderFlags = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;

/**
 * Deletes the btrfs subvolumes directly in a folder, with those that a container made inside: one call each, however
 * many files they hold. What cannot be deleted stays, for the ordinary deletion to try and to tell of.
 */
export function deleteSubvolumes(path: string): void {
  try {
    if (filesystemName(path) !== 'btrfs') return;
    const fd = openSync(path, folderFlags);
    try {
      const subvolumes = subfolders(fd).filter((name) => isSubvolume(fd, name));
      for (const name of subvolumes) destroy(fd, name);
      // Whoever removes something from a full disk wants to write at once; elsewhere a sync is not worth it.
      if (subvolumes.length > 0 && isNearlyFull(path)) awaitSpace(fd);
    } finally {
      closeSync(fd);
    }
  } catch {
    // No folder, or none any more: the ordinary deletion tells of it.
  }
}

const patienceMs = 5000;
const pollMs = 20;

/** Waits a while for the kernel's cleaner, whose work counts from the next transaction on. */
function awaitSpace(fd: number): void {
  const deadline = performance.now() + patienceMs;
  wakeSubvolumeCleaner(fd);
  const pause = new Int32Array(new SharedArrayBuffer(4));
  while (countDestroyedSubvolumes(fd) > 0 && performance.now() < deadline) Atomics.wait(pause, 0, 0, pollMs);
  wakeSubvolumeCleaner(fd);
}

/** Less than a tenth is free; none counts as free when the room for metadata is used up. */
function isNearlyFull(path: string): boolean {
  const { bavail, blocks } = statfsSync(path);
  return bavail < blocks / 10;
}

/** Destroys a subvolume; when the kernel finds others inside, those first. */
function destroy(folder: number, name: Buffer): void {
  if (destroySubvolume(folder, name) !== -errno.ENOTEMPTY) return;
  destroyInside(folder, name);
  destroySubvolume(folder, name);
}

function destroyInside(folder: number, name: Buffer): void {
  const fd = openat(folder, name, folderFlags);
  if (fd < 0) return;
  try {
    for (const child of subfolders(fd)) {
      if (isSubvolume(fd, child)) destroy(fd, child);
      else destroyInside(fd, child);
    }
  } finally {
    close(fd);
  }
}

const folderType = 4; // DT_DIR of getdents64(2), which btrfs always tells

function subfolders(fd: number): Buffer[] {
  const entries = listFolder(fd);
  if (typeof entries === 'number') return [];
  return entries.filter(({ type }) => type === folderType).map(({ name }) => name);
}

function isSubvolume(folder: number, name: Buffer): boolean {
  const stat = statAt(folder, name);
  if (typeof stat === 'number') return false;
  return (stat.mode & fileType.mask) === fileType.directory && stat.inode === subvolumeInode;
}
