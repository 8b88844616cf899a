import { type BigIntStats, lstatSync, readdirSync, readlinkSync } from 'node:fs';
import { type FolderMatch, IgnoreMatcher } from '../dockerfile/index.ts';
import { getXattr, listXattrs } from '../linux/index.ts';
import { bytes, join, type RawPath, text } from './raw-path.ts';

/** One file of a tree, as it is copied and hashed. */
export interface TreeEntry {
  /** Below the top of the walk; empty for the top. */
  readonly path: RawPath;
  /** The file itself. */
  readonly absolute: RawPath;
  readonly stat: BigIntStats;
  /** Target of a symbolic link. */
  readonly link?: RawPath;
}

/** Which files of a root take part. */
export class PathFilter {
  readonly #matcher: IgnoreMatcher;

  constructor(patterns: readonly string[]) {
    this.#matcher = new IgnoreMatcher(patterns);
  }

  static readonly everything = new PathFilter([]);

  get passesAll(): boolean {
    return this.#matcher.empty;
  }

  /** For a path below the root. */
  excludes(path: RawPath): boolean {
    return path !== '' && !this.passesAll && this.#matcher.ignores(text(path));
  }

  match(
    path: RawPath,
    folder: FolderMatch | undefined,
  ): { readonly ignored: boolean; readonly match: FolderMatch } {
    return this.#matcher.match(text(path), folder);
  }

  mayKeepInside(folder: RawPath): boolean {
    return this.#matcher.mayKeepInside(text(folder));
  }

  /** What the folders of `path` and itself match, to start a walk there. */
  enter(path: RawPath): FolderMatch | undefined {
    let match: FolderMatch | undefined;
    for (let end = path.indexOf('/'); end !== -1; end = path.indexOf('/', end + 1)) {
      ({ match } = this.match(path.slice(0, end), match));
    }
    return path === '' ? undefined : this.match(path, match).match;
  }
}

function entryOf(path: RawPath, absolute: RawPath): TreeEntry {
  const stat = lstatSync(bytes(absolute), { bigint: true });
  if (!stat.isSymbolicLink()) return { path, absolute, stat };
  return { path, absolute, stat, link: readlinkSync(bytes(absolute), 'buffer').toString('latin1') };
}

/**
 * All files at and below `top` of a root, folders before what is in them, names in byte order. A folder that is left
 * out still comes when something in it stays.
 * @param top path below `root` without links.
 */
export function* walkTree(root: RawPath, top: RawPath, filter: PathFilter): Generator<TreeEntry> {
  yield* walk(root, top, '', filter, filter.passesAll ? undefined : filter.enter(top), []);
}

function* walk(
  root: RawPath,
  top: RawPath,
  path: RawPath,
  filter: PathFilter,
  match: FolderMatch | undefined,
  held: readonly TreeEntry[],
): Generator<TreeEntry> {
  const entry = entryOf(path, join(join(root, top), path));
  // `held` are the left-out folders above, given only when something inside them is kept.
  if (held.length === 0) yield entry;
  if (!entry.stat.isDirectory()) return;
  const names = readdirSync(bytes(entry.absolute), { encoding: 'buffer' })
    .map((name) => name.toString('latin1'))
    .sort();
  let waiting = held;
  for (const name of names) {
    const child = join(path, name);
    if (filter.passesAll) {
      yield* walk(root, top, child, filter, undefined, []);
      continue;
    }
    const below = join(top, child);
    const result = filter.match(below, match);
    if (!result.ignored) {
      yield* waiting;
      waiting = [];
      yield* walk(root, top, child, filter, result.match, []);
    } else if (filter.mayKeepInside(below)) {
      const ignored = entryOf(child, join(join(root, top), child));
      if (!ignored.stat.isDirectory()) continue;
      let first = true;
      for (const kept of walk(root, top, child, filter, result.match, [...waiting, ignored])) {
        if (first) waiting = [];
        first = false;
        yield kept;
      }
    }
  }
}

/** Extended attributes that belong to a file's content; the kernel's own bookkeeping is left out. */
export function contentXattrs(absolute: RawPath): readonly (readonly [name: string, value: Buffer])[] {
  const path = bytes(absolute);
  const names = listXattrs(path);
  if (typeof names === 'number') return [];
  return names
    .map((name) => name.toString('latin1'))
    .filter(
      (name) => !/^(?:trusted\.overlay\.|user\.overlay\.|security\.selinux$|system\.posix_acl)/.test(name),
    )
    .sort()
    .flatMap((name) => {
      const value = getXattr(path, name);
      return Buffer.isBuffer(value) ? [[name, value] as const] : [];
    });
}
