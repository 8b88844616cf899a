import { readdirSync } from 'node:fs';
import { VarveError } from '../base/index.ts';
import { PathPattern } from '../dockerfile/index.ts';
import { basename, bytes, join, lstat, parent, type RawPath, raw, resolveInside } from './raw-path.ts';
import type { PathFilter } from './tree.ts';

/** A tree that COPY and ADD take from: the context, a stage or an image. */
export interface SourceRoot {
  readonly folder: RawPath;
  readonly filter: PathFilter;
  /** True for the build context, for the wording of errors. */
  readonly context: boolean;
  /** True for a mounted tree of layers. */
  readonly layers?: true;
}

/** One file or folder that a source of the instruction stands for. */
export interface ResolvedSource {
  /** Below the root, without links. */
  readonly path: RawPath;
  /** Name it gets in a destination folder: the last part as written or matched. */
  readonly name: RawPath;
  readonly directory: boolean;
  /** With `--parents`: the folders between the pivot (`/./`) and the name. */
  readonly parents: RawPath;
}

/** True when a source has wildcards. */
function isPattern(source: string): boolean {
  return /[*?[\\]/.test(source);
}

function missing(root: SourceRoot, source: string): VarveError {
  const what = root.context ? 'file not found in build context or excluded by .dockerignore: ' : '';
  return new VarveError('not-found', 'COPY_SOURCE_MISSING', `${what}stat ${source}: file does not exist`, {
    subject: source,
  });
}

/** `/a/./b/` as `a/b`. @throws VarveError when it leads out of the root. */
function inside(source: string): string {
  const parts: string[] = [];
  for (const part of source.split('/')) {
    if (part === '' || part === '.') continue;
    if (part !== '..') parts.push(part);
    else if (parts.pop() === undefined) {
      throw new VarveError(
        'invalid',
        'COPY_SOURCE_OUTSIDE',
        `forbidden path outside the build context: ${source} ()`,
        {
          subject: source,
        },
      );
    }
  }
  return parts.join('/');
}

function expandPattern(root: SourceRoot, pattern: string): RawPath[] {
  let found: RawPath[] = [''];
  for (const part of pattern.split('/')) {
    const matcher = new PathPattern(part, { doubleStar: false });
    found = found.flatMap((folder) => {
      const real = join(root.folder, resolveInside(root.folder, folder));
      if (!isPattern(part)) return lstat(join(real, raw(part))) ? [join(folder, raw(part))] : [];
      if (!lstat(real)?.isDirectory()) return [];
      return readdirSync(bytes(real), { encoding: 'buffer' })
        .filter((name) => matcher.matches(name.toString()))
        .map((name) => join(folder, name.toString('latin1')))
        .sort();
    });
  }
  return found;
}

function resolve(root: SourceRoot, named: RawPath, pivot: number): ResolvedSource | undefined {
  if (root.filter.excludes(named) && !root.filter.mayKeepInside(named)) return undefined;
  const path = resolveInside(root.folder, named);
  const stat = lstat(join(root.folder, path));
  if (!stat) return undefined;
  const directory = stat.isDirectory();
  if (root.filter.excludes(path) && !(directory && root.filter.mayKeepInside(path))) return undefined;
  return { path, name: basename(named), directory, parents: parent(named).slice(pivot) };
}

/**
 * Finds what the sources of COPY or ADD stand for: names and Go wildcards, links followed inside the root only.
 * @throws VarveError `not-found` in the classic builder's words when a name or a pattern finds nothing.
 */
export function resolveSources(root: SourceRoot, sources: readonly string[]): ResolvedSource[] {
  return sources.flatMap((source) => {
    const clean = inside(source);
    const at = source.indexOf('/./');
    const before = at <= 0 ? '' : raw(inside(source.slice(0, at)));
    const pivot = before === '' ? 0 : before.length + 1;
    if (!isPattern(clean)) {
      const found = resolve(root, raw(clean), pivot);
      if (!found) throw missing(root, source.replace(/^\/+/, ''));
      return [found];
    }
    const found = expandPattern(root, clean).flatMap((path) => resolve(root, path, pivot) ?? []);
    if (found.length === 0) {
      throw new VarveError('not-found', 'COPY_SOURCE_MISSING', 'no source files were specified', {
        subject: source,
      });
    }
    return found;
  });
}
