import { mkdirSync, mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { VarveError } from '../../../base/index.ts';
import { createSubvolume, listMounts, snapshotSubvolume } from '../../../linux/index.ts';
import { existingAncestor } from '../../tree/folders.ts';
import type { Probe } from '../../types.ts';
import { deleteInBackground } from '../../worker/jobs.ts';

/** Makes a subvolume under `root` and a snapshot of it, where `root` is on btrfs. */
export async function probeBtrfs(root: string): Promise<Probe> {
  if (process.geteuid?.() !== 0) return { ok: false, reason: 'deleting subvolumes needs root' };
  const type = filesystemOf(realpathSync(existingAncestor(root)));
  if (type !== 'btrfs') return { ok: false, reason: `${root} is on ${type}, the btrfs driver needs btrfs` };
  let folder: string | undefined;
  try {
    mkdirSync(root, { recursive: true, mode: 0o710 });
    folder = mkdtempSync(join(root, 'probe-'));
    await createSubvolume(folder, 'one');
    await snapshotSubvolume(join(folder, 'one'), folder, 'two');
    return { ok: true };
  } catch (error) {
    return { ok: false, reason: `btrfs does not work here: ${VarveError.from(error).message}` };
  } finally {
    if (folder) {
      await deleteInBackground(folder);
      rmSync(folder, { recursive: true, force: true });
    }
  }
}

/** The file system type of a path as mount(8) says it (`ext4`, where statfs(2) knows three by one number). */
function filesystemOf(path: string): string {
  const holds = (target: string): boolean =>
    path === target || path.startsWith(target === '/' ? '/' : `${target}/`);
  // The last of equal length is mounted over the others.
  const best = listMounts()
    .filter(({ target }) => holds(target))
    .reduce<{ target: string; type: string } | undefined>(
      (found, entry) => (found && found.target.length > entry.target.length ? found : entry),
      undefined,
    );
  return best?.type ?? 'an unknown file system';
}
