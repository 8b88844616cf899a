import { basename, dirname } from 'node:path';
import { VarveError } from '../../../base/index.ts';
import {
  attachLoop,
  type FsOption,
  filesystemName,
  fsOptionMaxBytes,
  inFolder,
  mount,
  mountFilesystem,
  mountFlags,
} from '../../../linux/index.ts';

/** Two files of one folder, and an empty folder. */
export interface IndexMount {
  readonly index: string;
  readonly tar: string;
  readonly target: string;
}

/**
 * What the kernel reads a layer from: its files as they are (Linux 6.12, and no files of tmpfs), loop devices over them,
 * or whichever works, files first.
 */
export const backings = ['auto', 'files', 'loop'] as const;
export type Backing = (typeof backings)[number];

/**
 * Mounts an index with its tar as the data device.
 * @throws VarveError with code ENOTBLK where files cannot be mounted and loop devices were not allowed.
 */
export function mountIndex(what: IndexMount, backing: Backing = 'auto'): void {
  if (backing === 'loop') {
    mountLoops(what);
    return;
  }
  try {
    if (!mountAtOnce(what)) mountFiles(what);
  } catch (error) {
    if (backing === 'files' || !isNotMountable(error)) throw error;
    mountLoops(what);
  }
}

/** Whether an index is mounted at a folder; an administrator may have unmounted it. */
export function isIndexMounted(target: string): boolean {
  return filesystemName(target) === 'erofs';
}

/**
 * One call instead of seven: a stack of 100 layers is mounted in two thirds of the time. False when it did not work, and
 * the calls that say why are to be made.
 */
function mountAtOnce({ index, tar, target }: IndexMount): boolean {
  // A comma ends the option, and all options share a page.
  if (tar.includes(',') || Buffer.byteLength(tar) > 4000) return false;
  try {
    mount(index, target, 'erofs', mountFlags.readOnly, `device=${tar}`);
    return true;
  } catch {
    return false;
  }
}

/** mount(8) would make loop devices, so the calls are made here. Long paths are given relative to their folder. */
function mountFiles({ index, tar, target }: IndexMount): void {
  const isShort = Math.max(Buffer.byteLength(index), Buffer.byteLength(tar)) <= fsOptionMaxBytes;
  const name = (path: string): string => (isShort ? path : basename(path));
  const go = (): void => mountDevices(name(index), name(tar), target);
  if (isShort) go();
  else inFolder(dirname(index), go);
}

/** The devices let go of their files when the mount ends, and at once when there is none. */
function mountLoops({ index, tar, target }: IndexMount): void {
  using names = attachLoop(index, { readOnly: true });
  using data = attachLoop(tar, { readOnly: true });
  mountDevices(names.path, data.path, target);
}

function mountDevices(source: string, device: string, target: string): void {
  const options: FsOption[] = [
    // Of the file system, not of the mount alone: a read-only loop device is not opened otherwise.
    ['ro', true],
    ['source', source],
    ['device', device],
  ];
  mountFilesystem('erofs', options, target, { readOnly: true });
}

function isNotMountable(error: unknown): boolean {
  return VarveError.from(error).code === 'ENOTBLK';
}
