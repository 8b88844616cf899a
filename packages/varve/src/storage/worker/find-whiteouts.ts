import { closeSync, constants, openSync } from 'node:fs';
import { close, fileType, listFolder, openat, statAt } from '../../linux/index.ts';

const folderFlags = constants.O_RDONLY | constants.O_DIRECTORY;
/** d_type of getdents64(2). */
const types = { unknown: 0, characterDevice: 2, folder: 4 } as const;

/**
 * Paths of the whiteouts in a layer's folder (character devices 0/0), relative, one character a byte (latin1). Only
 * folders are read, which costs a tenth of a walk that looks at every file.
 */
export function findWhiteouts(root: string): string[] {
  const found: string[] = [];
  const visit = (fd: number, path: string): void => {
    const entries = listFolder(fd);
    if (typeof entries === 'number') return;
    for (const { name, type } of entries) {
      const child = `${path}${name.toString('latin1')}`;
      if (type !== types.folder && type !== types.characterDevice && type !== types.unknown) continue;
      if (type !== types.folder) {
        const stat = statAt(fd, name);
        if (typeof stat === 'number') continue;
        if ((stat.mode & fileType.mask) === fileType.characterDevice) {
          if (stat.rdevMajor === 0 && stat.rdevMinor === 0) found.push(child);
          continue;
        }
        if ((stat.mode & fileType.mask) !== fileType.directory) continue;
      }
      const folder = openat(fd, name, folderFlags);
      if (folder < 0) continue;
      try {
        visit(folder, `${child}/`);
      } finally {
        close(folder);
      }
    }
  };
  const fd = openSync(root, folderFlags);
  try {
    visit(fd, '');
  } finally {
    closeSync(fd);
  }
  return found;
}
