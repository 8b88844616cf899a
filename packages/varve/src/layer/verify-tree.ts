import { createHash, type Hash } from 'node:crypto';
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { throwIfAborted } from '../base/index.ts';
import { openat2, openFlags, resolveFlags } from '../linux/index.ts';
import { cleanPath, pathBytes } from './names.ts';
import { readLayerEntry, type ReadOptions, type ReadSource, scanLayer } from './read-layer.ts';
import type { TarEntry } from './tar/entry.ts';

/** What a file of the layer must be; the digest is of its content. */
interface Wanted {
  readonly entry: TarEntry;
  readonly digest: string;
}

const chunk = 256 << 10;
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
  const root = openSync(folder, openFlags.path | constants.O_DIRECTORY);
  const different: string[] = [];
  try {
    let seen = 0;
    for (const [path, file] of wanted) {
      if (++seen % 64 === 0) {
        await new Promise(setImmediate);
        throwIfAborted(options.signal);
      }
      const why = compare(root, path, file);
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

function compare(root: number, path: string, { entry, digest }: Wanted): string | undefined {
  const name = pathBytes(path);
  const inside = resolveFlags.inRoot | resolveFlags.noMagicLinks;
  if (entry.type === 'symlink') {
    const link = openat2(root, name, openFlags.path | constants.O_NOFOLLOW, 0, inside);
    return link < 0 ? 'is not there' : closing(link, () => undefined);
  }
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  const fd = openat2(root, name, flags, 0, inside);
  if (fd < 0) return 'is not there';
  return closing(fd, () => {
    const stat = fstatSync(fd);
    if (!stat.isFile()) return 'is not a regular file';
    // A hard link is the file that it links to, which is compared under its own name.
    if (entry.type === 'hardlink') return undefined;
    if (stat.size !== entry.size) return `has ${stat.size} bytes, not ${entry.size}`;
    if ((stat.mode & 0o7777) !== entry.mode) return 'has another mode';
    if (stat.uid !== entry.uid || stat.gid !== entry.gid) return 'has another owner';
    return hashOf(fd) === digest ? undefined : 'has other bytes';
  });
}

function closing<T>(fd: number, work: () => T): T {
  try {
    return work();
  } finally {
    closeSync(fd);
  }
}

function hashOf(fd: number): string {
  const hash = createHash('sha256');
  const buffer = Buffer.allocUnsafe(chunk);
  for (let count = readSync(fd, buffer); count > 0; count = readSync(fd, buffer))
    hash.update(buffer.subarray(0, count));
  return hash.digest('hex');
}
