import { lstatSync, readlinkSync, type Stats } from 'node:fs';
import { VarveError } from '../base/index.ts';

/**
 * A path whose every UTF-16 unit is one byte (latin1). File names of images and contexts are bytes and need not be
 * UTF-8; as such a string they can be joined, compared and sorted as bytes and lose nothing.
 */
export type RawPath = string;

/** Text of a Dockerfile or of our own as a raw path. */
export function raw(text: string): RawPath {
  return Buffer.from(text).toString('latin1');
}

/** For the calls of node:fs. */
export function bytes(path: RawPath): Buffer {
  return Buffer.from(path, 'latin1');
}

/** For people and patterns. */
export function text(path: RawPath): string {
  return bytes(path).toString();
}

/** Joins with one slash; an empty part adds nothing. */
export function join(folder: RawPath, name: RawPath): RawPath {
  if (folder === '' || name === '') return folder + name;
  return folder.endsWith('/') ? folder + name : `${folder}/${name}`;
}

/** The part before the last slash; empty when there is none. */
export function parent(path: RawPath): RawPath {
  return path.slice(0, Math.max(path.lastIndexOf('/'), 0));
}

export function basename(path: RawPath): RawPath {
  return path.slice(path.lastIndexOf('/') + 1);
}

/** What is at a path, without following it; undefined when there is nothing or a file is in the way. */
export function lstat(path: RawPath): Stats | undefined {
  try {
    return lstatSync(bytes(path), { throwIfNoEntry: false });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOTDIR') return undefined;
    throw error;
  }
}

/** Links in one path, as in the kernel (path_resolution(7), MAXSYMLINKS). */
const linkLimit = 40;

/**
 * Finds where `path` leads when `root` is `/`: links are followed, absolute ones from `root`, and `..` stops there.
 * What does not exist is taken as written, below the part that does. The tree must not change meanwhile; the trees of
 * a build do not, since no container runs on them.
 * @returns the path below `root`, without links; empty for `root` itself.
 * @throws VarveError `invalid` when links go in circles.
 */
export function resolveInside(root: RawPath, path: RawPath): RawPath {
  let done = '';
  let links = 0;
  let rest = path.split('/').reverse();
  while (rest.length > 0) {
    const part = rest.pop() as string;
    if (part === '' || part === '.') continue;
    if (part === '..') {
      done = parent(done);
      continue;
    }
    const next = join(done, part);
    if (!lstat(join(root, next))?.isSymbolicLink()) {
      done = next;
      continue;
    }
    if (++links > linkLimit) {
      throw new VarveError('invalid', 'ELOOP', `too many symbolic links in ${text(path)}`, {
        subject: text(path),
      });
    }
    const target = readlinkSync(bytes(join(root, next)), 'buffer').toString('latin1');
    if (target.startsWith('/')) done = '';
    rest = [...rest, ...target.split('/').reverse()];
  }
  return done;
}
