import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { VarveError } from '../../../base/index.ts';
import { encodeEnd, encodeHeader, paddingAfter, storeLayer, type TarMetadata } from '../../../layer/index.ts';
import { filesystemName, unmount } from '../../../linux/index.ts';
import type { Probe } from '../../types.ts';
import { mountOverlay } from '../overlay2/overlay-mount.ts';
import { probeOverlay } from '../overlay2/probe.ts';
import { layout } from './layout.ts';
import { type Backing, mountIndex } from './mount-index.ts';

const content = Buffer.from('read through two mounts\n');

/** Mounts a small layer from under `root`, an overlay on top of it, and reads a file through both. */
export async function probeErofs(root: string, backing: Backing): Promise<Probe> {
  const overlay = probeOverlay(root);
  if (!overlay.ok) return overlay;
  const folder = mkdtempSync(join(root, 'probe-'));
  const { tar, index, diff, merged } = layout(folder);
  const blob = join(folder, 'layer');
  const empty = join(folder, 'empty');
  try {
    for (const path of [diff, merged, empty]) mkdirSync(path);
    writeFileSync(blob, smallArchive());
    await storeLayer({ path: blob, compression: 'none' }, { tar, index, bottom: true });
    try {
      mountIndex({ index, tar, target: diff }, backing);
    } catch (error) {
      return { ok: false, reason: explain(VarveError.from(error), root) };
    }
    const lowers = [diff, empty].map((path) => ({ id: basename(path), path }));
    mountOverlay({ base: folder, lowers, target: merged });
    return readFileSync(join(merged, 'file')).equals(content)
      ? { ok: true }
      : { ok: false, reason: 'a file came out wrong through EROFS and overlayfs' };
  } catch (error) {
    return {
      ok: false,
      reason: `EROFS below overlayfs does not work here: ${VarveError.from(error).message}`,
    };
  } finally {
    unmount(merged, { detach: true });
    unmount(diff, { detach: true });
    rmSync(folder, { recursive: true, force: true });
  }
}

/** What mounting says where it cannot be done. fsopen(2), loop(4), and erofs's own: ENOTBLK for a file it cannot read. */
function explain(error: VarveError, root: string): string {
  if (error.code === 'ENODEV') return 'this kernel has no EROFS (CONFIG_EROFS_FS)';
  if (error.code === 'ENOTBLK') {
    return `EROFS cannot be mounted from files on ${filesystemName(root)} here; it takes Linux 6.12 with CONFIG_EROFS_FS_BACKED_BY_FILE and a disk, or erofs.backing=loop`;
  }
  if (error.subject === '/dev/loop-control') {
    return 'EROFS cannot be mounted from files here, and there are no loop devices (CONFIG_BLK_DEV_LOOP)';
  }
  return `EROFS does not work here: ${error.message}`;
}

function smallArchive(): Buffer {
  const nothing = Buffer.alloc(0);
  const file: TarMetadata = {
    type: 'file',
    name: Buffer.from('file'),
    linkName: nothing,
    mode: 0o644,
    uid: 0,
    gid: 0,
    userName: nothing,
    groupName: nothing,
    size: content.length,
    mtime: { seconds: 0, nanoseconds: 0 },
    deviceMajor: 0,
    deviceMinor: 0,
    xattrs: [],
  };
  return Buffer.concat([
    encodeHeader(file),
    content,
    Buffer.alloc(paddingAfter(content.length)),
    encodeEnd(),
  ]);
}
