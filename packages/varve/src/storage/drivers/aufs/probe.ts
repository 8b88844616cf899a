import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { readFile, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { VarveError } from '../../../base/index.ts';
import { unmount } from '../../../linux/index.ts';
import type { Probe } from '../../types.ts';
import { kernelHasAufs, mountKernelAufs } from './kernel-aufs.ts';
import { mountUnion } from './union-mount.ts';

/** How unions are made here: by the kernel's own AUFS, or by a FUSE server of ours. */
export type UnionKind = 'kernel' | 'fuse';

/** Which way it goes here. */
export function unionKind(): UnionKind {
  return kernelHasAufs() ? 'kernel' : 'fuse';
}

/** Mounts a small union under `root`, reads a lower file in it and deletes it: the branch must then hold its whiteout. */
export async function probeAufs(root: string): Promise<Probe> {
  if (process.geteuid?.() !== 0) return { ok: false, reason: 'mounting needs root' };
  const kind = unionKind();
  if (kind === 'fuse' && !existsSync('/dev/fuse')) {
    const reason = 'the kernel has no aufs, and there is no /dev/fuse to make it with (modprobe fuse)';
    return { ok: false, reason };
  }
  let folder: string | undefined;
  try {
    mkdirSync(root, { recursive: true, mode: 0o710 });
    folder = mkdtempSync(join(root, 'probe-'));
    const at = (name: string): string => join(folder as string, name);
    for (const name of ['diff', 'lower', 'merged']) mkdirSync(at(name));
    await writeFile(at('lower/file'), kind);
    const union = { writable: at('diff'), readOnly: [at('lower')] };
    if (kind === 'kernel') mountKernelAufs(at('merged'), union, false);
    else {
      const order = { passthrough: true, target: at('merged'), isReadOnly: false, lockFile: at('server') };
      await mountUnion({ ...union, ...order }, () => undefined);
    }
    try {
      await readFile(at('merged/file'));
      await unlink(at('merged/file'));
    } finally {
      unmount(at('merged'), { detach: true });
    }
    if (!existsSync(at('diff/.wh.file'))) return { ok: false, reason: 'a deleted file left no whiteout' };
    return { ok: true };
  } catch (error) {
    return { ok: false, reason: `a union cannot be mounted here: ${VarveError.from(error).message}` };
  } finally {
    if (folder) rmSync(folder, { recursive: true, force: true });
  }
}
