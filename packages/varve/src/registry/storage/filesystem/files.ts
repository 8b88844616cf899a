import { close, fdatasync, fsync, open, rename, unlink, writev } from 'node:fs';
import { promisify } from 'node:util';

// By number: a FileHandle is an object that the collector has to watch, and its promises cost more than the calls.
export const openFile = promisify(open);
export const closeFile = promisify(close);
export const syncData = promisify(fdatasync);
export const syncAll = promisify(fsync);
export const renameFile = promisify(rename);
/** writev(2) at a position; may write less than it was given. */
export const writeVector = promisify(writev);

const unlinkFile = promisify(unlink);

/** Makes a rename or a new name in `path` survive power loss (fsync(2)). */
export async function syncFolder(path: string): Promise<void> {
  const file = await openFile(path, 'r');
  try {
    await syncAll(file);
  } finally {
    await closeFile(file);
  }
}

/** Removes a file that may not be there. */
export async function removeFile(path: string): Promise<void> {
  try {
    await unlinkFile(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}
