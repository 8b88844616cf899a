import {
  type BigIntStats,
  chmodSync,
  copyFileSync,
  lchownSync,
  linkSync,
  mkdirSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { copyFile } from 'node:fs/promises';
import { throwIfAborted, VarveError } from '../base/index.ts';
import { check, fileType, makeDevice, mknodat, setXattr, utimensat } from '../linux/index.ts';
import type { ModeChange } from './file-mode.ts';
import type { Owner } from './ownership.ts';
import { bytes, join, lstat, parent, type RawPath, resolveInside, text } from './raw-path.ts';
import { contentXattrs, type PathFilter, type TreeEntry, walkTree } from './tree.ts';

/** How files arrive in the image. */
export interface CopyRules {
  readonly owner: Owner;
  /** `--chmod`; undefined keeps the source's bits. */
  readonly mode?: ModeChange | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Entries after which other work gets its turn. */
const batch = 512;
/** A file above this is copied by another thread; for a smaller one the way there costs more than the copy. */
const largeFile = 1n << 20n;
/** AT_FDCWD, for absolute paths. */
const workingFolder = -100;

const timeSpec = (ns: bigint): { readonly seconds: number; readonly nanoseconds: number } => {
  const seconds = ns >= 0n ? ns / 1_000_000_000n : -((-ns + 999_999_999n) / 1_000_000_000n);
  return { seconds: Number(seconds), nanoseconds: Number(ns - seconds * 1_000_000_000n) };
};

/** Sets access and modification time, to the nanosecond, not following a link. */
export function setTimes(path: RawPath, atimeNs: bigint, mtimeNs: bigint): void {
  check(utimensat(workingFolder, bytes(path), timeSpec(atimeNs), timeSpec(mtimeNs)), 'utimensat', text(path));
}

/**
 * Makes a folder of the image with all above it (0755 and of one owner, as Docker does), through links inside the root.
 * @param path below `root`, may hold links and `..`.
 * @returns the path without links.
 * @throws VarveError `conflict` when something that is no folder is in the way.
 */
export function makeFolders(root: RawPath, path: RawPath, owner: Owner): RawPath {
  const target = resolveInside(root, path);
  const missing: RawPath[] = [];
  for (let folder = target; folder !== ''; folder = parent(folder)) {
    const stat = lstat(join(root, folder));
    if (stat?.isDirectory()) break;
    if (stat) {
      throw new VarveError(
        'conflict',
        'NOT_A_FOLDER',
        `cannot create folder ${text(target)}: ${text(folder)} is a file`,
        { subject: text(folder) },
      );
    }
    missing.push(folder);
  }
  for (const folder of missing.reverse()) {
    const absolute = bytes(join(root, folder));
    mkdirSync(absolute);
    lchownSync(absolute, owner.uid, owner.gid);
    chmodSync(absolute, 0o755);
  }
  return target;
}

/** Copies trees into one image root. Hard links among all that one instance copies stay hard links. */
export class TreeCopier {
  readonly #root: RawPath;
  readonly #rules: CopyRules;
  /** device:inode of a file with several links to where its first name went. */
  readonly #links = new Map<string, RawPath>();
  #count = 0;

  constructor(root: RawPath, rules: CopyRules) {
    this.#root = root;
    this.#rules = rules;
  }

  /**
   * Copies the file or folder at `top` of `sourceRoot` so that it is at `target` of the image. A folder that is
   * there already keeps its own owner and mode at the top; what is in it is replaced, folders are merged.
   * @param target below the root, without links.
   */
  async copy(
    sourceRoot: RawPath,
    top: RawPath,
    target: RawPath,
    filter: PathFilter,
    exclude?: PathFilter,
  ): Promise<void> {
    /** Where each folder of the source ended up, when a link of the image led it elsewhere. */
    const moved = new Map<RawPath, RawPath>();
    const folderTimes: (readonly [RawPath, BigIntStats])[] = [];
    for (const entry of walkTree(sourceRoot, top, filter)) {
      if (exclude?.excludes(entry.path)) continue;
      if (exclude && !exclude.passesAll && entry.path !== '')
        makeFolders(this.#root, join(target, parent(entry.path)), this.#rules.owner);
      const folder = parent(entry.path);
      const base = moved.get(folder) ?? join(target, folder);
      const name = entry.path.slice(folder === '' ? 0 : folder.length + 1);
      const at = entry.path === '' ? target : join(base, name);
      if (entry.stat.isDirectory()) {
        const { path, created } = this.#folder(entry, at, entry.path === '');
        if (path !== join(target, entry.path)) moved.set(entry.path, path);
        if (created || entry.path !== '') folderTimes.push([path, entry.stat]);
      } else {
        await this.#file(entry, at);
      }
      if (++this.#count % batch === 0) {
        await new Promise((resolve) => setImmediate(resolve));
        throwIfAborted(this.#rules.signal);
      }
    }
    // Making files in a folder changes its time, so the folders' times come last.
    for (const [path, stat] of folderTimes.reverse())
      setTimes(join(this.#root, path), stat.atimeNs, stat.mtimeNs);
  }

  #folder(
    entry: TreeEntry,
    at: RawPath,
    top: boolean,
  ): { readonly path: RawPath; readonly created: boolean } {
    // A link to a folder in the image is gone through (tar's --keep-directory-symlink): /lib of a merged-usr base.
    const path = resolveInside(this.#root, at);
    const absolute = join(this.#root, path);
    const existing = lstat(absolute);
    if (existing && !existing.isDirectory()) {
      throw new VarveError('conflict', 'NOT_A_FOLDER', `cannot copy to non-directory: ${text(path)}`, {
        subject: text(path),
      });
    }
    if (!existing) {
      makeFolders(this.#root, parent(path), this.#rules.owner);
      mkdirSync(bytes(absolute));
    }
    if (!existing || !top) this.#attributes(entry, absolute);
    return { path, created: !existing };
  }

  async #file(entry: TreeEntry, at: RawPath): Promise<void> {
    const { stat } = entry;
    if (stat.isSocket()) return;
    const absolute = join(this.#root, at);
    const existing = lstat(absolute);
    if (existing?.isDirectory() && !stat.isDirectory()) rmSync(bytes(absolute), { recursive: true });
    else if (existing) rmSync(bytes(absolute));
    const identity = `${stat.dev}:${stat.ino}`;
    const first = stat.nlink > 1n ? this.#links.get(identity) : undefined;
    if (first !== undefined) {
      linkSync(bytes(first), bytes(absolute));
      return;
    }
    if (stat.isSymbolicLink()) symlinkSync(bytes(entry.link ?? ''), bytes(absolute));
    else if (stat.isFile() && stat.size > largeFile) await copyFile(bytes(entry.absolute), bytes(absolute));
    else if (stat.isFile()) copyFileSync(bytes(entry.absolute), bytes(absolute));
    else this.#device(stat, absolute);
    if (stat.nlink > 1n) this.#links.set(identity, absolute);
    this.#attributes(entry, absolute);
    setTimes(absolute, stat.atimeNs, stat.mtimeNs);
  }

  #device(stat: BigIntStats, absolute: RawPath): void {
    const device = Number(stat.rdev);
    const major = ((device >> 8) & 0xfff) | (Math.floor(device / 2 ** 32) & ~0xfff);
    const minor = (device & 0xff) | ((device >>> 12) & ~0xff & 0xf_ff00);
    const type = Number(stat.mode) & fileType.mask;
    check(
      mknodat(workingFolder, bytes(absolute), type | 0o600, makeDevice(major, minor)),
      'mknodat',
      text(absolute),
    );
  }

  /** Owner first: changing it clears set-id bits and file capabilities (chown(2)). */
  #attributes({ stat, absolute: source }: TreeEntry, absolute: RawPath): void {
    const { owner, mode } = this.#rules;
    lchownSync(bytes(absolute), owner.uid, owner.gid);
    if (stat.isSymbolicLink()) return;
    const old = Number(stat.mode) & 0o7777;
    chmodSync(bytes(absolute), mode ? mode(old, stat.isDirectory()) : old);
    for (const [name, value] of contentXattrs(source)) {
      check(setXattr(bytes(absolute), Buffer.from(name, 'latin1'), value), 'setxattr', text(absolute));
    }
  }
}
