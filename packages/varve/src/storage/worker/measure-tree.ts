import { lstatSync, readdirSync } from 'node:fs';
import type { Usage } from '../types.ts';

/**
 * Adds up what a tree takes on disk, hard links once; does not leave its file system.
 * @param below a tree whose files count as another's where this one has links to them.
 */
export function measureTree(path: string, below?: string): Usage {
  const seen = new Set<bigint>();
  if (below !== undefined) addUp(below, seen);
  return addUp(path, seen);
}

/** @param seen inodes with several names that are counted already; grows. */
function addUp(path: string, seen: Set<bigint>): Usage {
  const root = lstatSync(path, { bigint: true });
  let blocks = 0n;
  let contentBytes = 0n;
  let inodes = 0;
  const folders = [Buffer.from(path)];
  for (let folder = folders.pop(); folder; folder = folders.pop()) {
    for (const name of ['.', ...readdirSync(folder, { encoding: 'buffer' })]) {
      const child = name === '.' ? folder : Buffer.concat([folder, Buffer.from('/'), Buffer.from(name)]);
      const stat = lstatSync(child, { bigint: true, throwIfNoEntry: false });
      if (!stat || stat.dev !== root.dev) continue;
      if (stat.isDirectory() && name !== '.') {
        folders.push(child);
        continue;
      }
      if (!stat.isDirectory() && stat.nlink > 1n) {
        if (seen.has(stat.ino)) continue;
        seen.add(stat.ino);
      }
      inodes++;
      blocks += stat.blocks;
      if (stat.isFile() || stat.isSymbolicLink()) contentBytes += stat.size;
    }
  }
  return { bytes: Number(blocks * 512n), contentBytes: Number(contentBytes), inodes };
}
