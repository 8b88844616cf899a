import { createHash, type Hash } from 'node:crypto';
import { closeSync } from 'node:fs';
import { throwIfAborted } from '../base/index.ts';
import { cleanPath, pathBytes } from './names.ts';
import { readLayerEntry, type ReadOptions, type ReadSource, scanLayer } from './read-layer.ts';
import type { Wanted } from './compare-file.ts';

/** Differences told; more say nothing new. */
const told = 20;

/**
 * Compares a folder that a layer was unpacked into with the layer: every regular file's bytes, size, mode and owner, and that
 * links are there. Folders and whiteouts are not compared: drivers adapt them to the layers below. Memory grows with the number of
 * files, not with their size.
 * @returns paths that differ with why, at most twenty.
 * @throws VarveError `invalid` for a broken archive, `cancelled`.
 */
export async function verifyTree(
  source: ReadSource,
  folder: string,
  options: ReadOptions = {},
): Promise<readonly string[]> {
  const wanted = await readWanted(source, options);
  // Loaded only here: it brings the system calls along, which who reads layers does without.
  const { compareFile, openFolder } = await import('./compare-file.ts');
  const root = openFolder(folder);
  const different: string[] = [];
  try {
    let seen = 0;
    for (const [path, file] of wanted) {
      if (++seen % 64 === 0) {
        await new Promise(setImmediate);
        throwIfAborted(options.signal);
      }
      const why = compareFile(root, path, file);
      if (why === undefined) continue;
      different.push(`/${pathBytes(path).toString()} ${why}`);
      if (different.length === told) break;
    }
  } finally {
    closeSync(root);
  }
  return different;
}

/** The last entry of a name is the one that counts. */
async function readWanted(source: ReadSource, options: ReadOptions): Promise<Map<string, Wanted>> {
  const wanted = new Map<string, Wanted>();
  let hash: Hash | undefined;
  let position = 0;
  const zeros = Buffer.alloc(64 << 10);
  const fill = (to: number): void => {
    for (; position < to; position += Math.min(zeros.length, to - position))
      hash?.update(zeros.subarray(0, Math.min(zeros.length, to - position)));
  };
  await scanLayer(
    source,
    {
      entry: () => {
        hash = createHash('sha256');
        position = 0;
      },
      data: (slice, at) => {
        fill(at);
        hash?.update(slice);
        position += slice.length;
      },
      end: (entry) => {
        fill(entry.size);
        const read = readLayerEntry(entry);
        if (read?.kind !== 'entry' || read.path === '/') return;
        const path = cleanPath(entry.name);
        if (entry.type === 'file' || entry.type === 'symlink' || entry.type === 'hardlink')
          wanted.set(path, { entry, digest: hash?.digest('hex') ?? '' });
        else wanted.delete(path);
      },
    },
    options,
  );
  return wanted;
}
