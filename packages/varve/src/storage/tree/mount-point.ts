import { rmdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { mountsBelow, unmountInBackground } from '../../linux/index.ts';

/** Where a snapshot is shown; the folder is there only while it is. */
export function mountPoint(snapshot: { readonly path: string }): string {
  return join(snapshot.path, mountPointName);
}

const mountPointName = 'merged';

/** Whether a mount under a driver's folder shows a snapshot. */
export function showsSnapshot(target: string): boolean {
  return basename(target) === mountPointName;
}

export function isMounted(target: string): boolean {
  return mountsBelow(target).some((entry) => entry.target === target);
}

/** Removing the mount point ends the mount's copies in other mount namespaces too (Linux 3.18). */
export async function unmountCompletely(target: string): Promise<void> {
  await unmountInBackground(target, { detach: true });
  removeFolder(target);
}

/** Removes an empty folder, if it is there. */
export function removeFolder(path: string): void {
  try {
    rmdirSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}
