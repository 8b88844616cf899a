import { lstatSync } from 'node:fs';
import { join } from 'node:path';
import { changes, type DiffSource } from '../../layer/index.ts';

/** Bytes of the files that a tree adds or changes, hard links once: Docker's size of a container (moby archive ChangesSize). */
export async function diffBytes(source: DiffSource): Promise<number> {
  const seen = new Set<bigint>();
  let bytes = 0;
  for (const { kind, path } of await changes(source)) {
    if (kind === 'delete') continue;
    const stat = lstatSync(join(source.upper, path), { bigint: true, throwIfNoEntry: false });
    if (!stat || stat.isDirectory() || seen.has(stat.ino)) continue;
    if (stat.nlink > 1n) seen.add(stat.ino);
    bytes += Number(stat.size);
  }
  return bytes;
}
