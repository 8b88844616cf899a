import { lstatSync, mkdirSync, mkdtempSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { VarveError } from '../../../base/index.ts';
import { filesystemName, unmount } from '../../../linux/index.ts';
import type { Probe } from '../../types.ts';
import { mountOverlay } from './overlay-mount.ts';

/**
 * Mounts a small overlay under `root` and deletes a lower file in it: the upper must then hold a whiteout in the
 * kernel's form, which some file systems cannot keep.
 */
export function probeOverlay(root: string): Probe {
  if (process.geteuid?.() !== 0) return { ok: false, reason: 'mounting needs root' };
  let folder: string | undefined;
  try {
    mkdirSync(root, { recursive: true, mode: 0o710 });
    folder = mkdtempSync(join(root, 'probe-'));
    const at = (name: string): string => join(folder as string, name);
    for (const name of ['one', 'two', 'diff', 'work', 'merged']) mkdirSync(at(name));
    writeFileSync(at('one/file'), '');
    const lowers = ['two', 'one'].map((id) => ({ id, path: at(id) }));
    const upper = { path: at('diff'), work: at('work') };
    mountOverlay({ base: folder, lowers, upper, target: at('merged') });
    try {
      unlinkSync(at('merged/file'));
    } finally {
      unmount(at('merged'), { detach: true });
    }
    if (!lstatSync(at('diff/file')).isCharacterDevice()) {
      return { ok: false, reason: `${filesystemName(root)} cannot hold overlayfs's whiteouts` };
    }
    return { ok: true };
  } catch (error) {
    const { message } = VarveError.from(error);
    return { ok: false, reason: `overlayfs does not work here: ${message}` };
  } finally {
    if (folder) rmSync(folder, { recursive: true, force: true });
  }
}
