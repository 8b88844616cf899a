import { basename, dirname } from 'node:path';
import {
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
 * Mounts an index with its tar as the data device, both plain files (Linux 6.12). mount(8) would make loop devices of
 * them, so the calls are made here. Long paths are given relative to their folder.
 * @throws VarveError whose `data.errno` is ENOTBLK where files cannot be mounted.
 */
export function mountIndex({ index, tar, target }: IndexMount): void {
  if (mountAtOnce({ index, tar, target })) return;
  const isShort = Math.max(Buffer.byteLength(index), Buffer.byteLength(tar)) <= fsOptionMaxBytes;
  const name = (path: string): string => (isShort ? path : basename(path));
  const options: FsOption[] = [
    ['source', name(index)],
    ['device', name(tar)],
  ];
  const go = (): void => mountFilesystem('erofs', options, target, { readOnly: true });
  if (isShort) go();
  else inFolder(dirname(index), go);
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

/** Whether an index is mounted at a folder; an administrator may have unmounted it. */
export function isIndexMounted(target: string): boolean {
  return filesystemName(target) === 'erofs';
}
