import { basename, dirname } from 'node:path';
import {
  type FsOption,
  filesystemName,
  fsOptionMaxBytes,
  inFolder,
  mountFilesystem,
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

/** Whether an index is mounted at a folder; an administrator may have unmounted it. */
export function isIndexMounted(target: string): boolean {
  return filesystemName(target) === 'erofs';
}
