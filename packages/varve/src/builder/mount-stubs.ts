import { type BigIntStats, lstatSync, readdirSync, rmdirSync, unlinkSync } from 'node:fs';
import { setTimes } from './copy-tree.ts';
import { bytes, join, lstat, parent, type RawPath, raw, resolveInside } from './raw-path.ts';

/** Where a container gets its mounts, beside those of the step. */
const usual = ['/proc', '/sys', '/dev', '/etc/resolv.conf', '/etc/hosts', '/etc/hostname'];

/**
 * Notes which mount points are not in the image, since the runtime makes them as empty files and folders and they
 * would end up in the layer. Call the function that is returned after the step: it takes the empty ones away again.
 */
export function watchMountPoints(root: RawPath, destinations: readonly string[]): () => void {
  const missing: { readonly path: RawPath; readonly folder: RawPath; readonly times: BigIntStats }[] = [];
  for (const destination of [...usual, ...destinations]) {
    let path = resolveInside(root, raw(destination));
    while (path !== '' && !lstat(join(root, path))) {
      const folder = parent(path);
      const times = lstatSync(bytes(join(root, folder)), { bigint: true, throwIfNoEntry: false });
      if (times) missing.push({ path, folder, times });
      else missing.push({ path, folder, times: lstatSync(bytes(root), { bigint: true }) });
      path = folder;
    }
  }
  // The deepest first, so that a folder is empty when its turn comes.
  missing.sort((a, b) => b.path.length - a.path.length);
  return () => {
    for (const { path, folder, times } of missing) {
      const absolute = join(root, path);
      const stat = lstat(absolute);
      if (stat?.isDirectory() && readdirSync(bytes(absolute)).length === 0) rmdirSync(bytes(absolute));
      else if (stat?.isFile() && stat.size === 0) unlinkSync(bytes(absolute));
      else continue;
      const above = join(root, folder);
      if (lstat(above)?.isDirectory()) setTimes(above, times.atimeNs, times.mtimeNs);
    }
  };
}
