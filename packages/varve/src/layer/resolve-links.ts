import { layerError } from './errors.ts';
import { type BytePath, pathBytes } from './names.ts';

/** Links that lead to links; the kernel's own limit is 40. path_resolution(7) */
export const maxLinks = 40;

/**
 * The path without links, as the text has it where nothing exists (`missing/../etc` is `etc`); an absolute link starts again
 * at the tree's root, and `..` stops there. Only text comes out.
 * @param readLink the target of the link at a path that is free of links, undefined when there is none.
 * @throws VarveError `TAR_NOT_A_FOLDER` when links lead in circles.
 */
export function resolveLinks(path: BytePath, readLink: (path: BytePath) => Buffer | undefined): BytePath {
  const done: string[] = [];
  const parts = path.split('/').toReversed();
  for (let links = 0; parts.length > 0; ) {
    const part = parts.pop() as string;
    if (part === '' || part === '.') continue;
    if (part === '..') {
      done.pop();
      continue;
    }
    const target = readLink([...done, part].join('/'));
    if (!target) {
      done.push(part);
      continue;
    }
    if (++links > maxLinks) throw layerError('TAR_NOT_A_FOLDER', 'too many links', pathBytes(path));
    const text = target.toString('latin1');
    if (text.startsWith('/')) done.length = 0;
    parts.push(...text.split('/').toReversed());
  }
  return done.join('/');
}
