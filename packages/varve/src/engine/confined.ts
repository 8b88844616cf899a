import { constants } from 'node:fs';
import { openat2, openFlags, resolveFlags, type SysResult } from '../linux/index.ts';

export { close, errno, type FileStat, fileType, readlinkat, statAt } from '../linux/index.ts';

/** Opens a folder (O_PATH) inside another that it cannot leave, not even by absolute links; negative errno on failure. */
export function openAt2Folder(root: number, path: string): SysResult {
  return openat2(
    root,
    path,
    openFlags.path | constants.O_DIRECTORY,
    0,
    resolveFlags.inRoot | resolveFlags.noMagicLinks,
  );
}
