import { closeSync, constants, openSync, readSync } from 'node:fs';
import { VarveError } from '../base/index.ts';
import { readIgnoreFile } from '../dockerfile/index.ts';
import { bytes, join, lstat, type RawPath, raw, resolveInside } from './raw-path.ts';
import type { SourceRoot } from './sources.ts';
import { PathFilter } from './tree.ts';
import type { BuildRequest } from './types.ts';

/** A Dockerfile or ignore file is text written by people; more than this is not read. */
const textLimit = 4 << 20;

/** Reads a small regular file of the context, links followed inside it; undefined when there is none. */
function readText(root: RawPath, path: string): string | undefined {
  const file = join(root, resolveInside(root, raw(path)));
  const stat = lstat(file);
  if (!stat?.isFile()) return undefined;
  if (stat.size > textLimit) {
    throw new VarveError('too-large', 'FILE_TOO_LARGE', `${path} is larger than ${textLimit} bytes`, {
      subject: path,
    });
  }
  const fd = openSync(bytes(file), constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    const buffer = Buffer.alloc(stat.size);
    return buffer.subarray(0, readSync(fd, buffer, 0, buffer.length, 0)).toString();
  } finally {
    closeSync(fd);
  }
}

export interface LoadedContext {
  readonly dockerfile: string;
  readonly source: SourceRoot;
}

/**
 * Reads the Dockerfile of a request and the rules of its `.dockerignore` (`<Dockerfile>.dockerignore` goes first).
 * @throws VarveError `invalid` in the classic builder's words when there is no Dockerfile or it is empty.
 */
export function loadContext(request: BuildRequest): LoadedContext {
  const root = raw(request.contextFolder);
  const path = 'path' in request.dockerfile ? request.dockerfile.path : undefined;
  const dockerfile =
    'text' in request.dockerfile ? request.dockerfile.text : readDockerfile(root, path as string);
  const ignore =
    (path === undefined ? undefined : readText(root, `${path}.dockerignore`)) ??
    readText(root, '.dockerignore');
  const filter = new PathFilter(ignore === undefined ? [] : readIgnoreFile(ignore));
  return { dockerfile, source: { folder: root, filter, context: true } };
}

function readDockerfile(root: RawPath, path: string): string {
  const name = path === '' ? 'Dockerfile' : path;
  const found = readText(root, name) ?? (name === 'Dockerfile' ? readText(root, 'dockerfile') : undefined);
  if (found === undefined) {
    throw new VarveError('invalid', 'NO_DOCKERFILE', `Cannot locate specified Dockerfile: ${name}`, {
      subject: name,
      hint: 'name another one with --file',
    });
  }
  if (found.trim() === '') {
    throw new VarveError('invalid', 'EMPTY_DOCKERFILE', `The Dockerfile (${name}) cannot be empty`, {
      subject: name,
    });
  }
  return found;
}
