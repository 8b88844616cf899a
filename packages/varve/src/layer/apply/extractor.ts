import { createHash, type Hash } from 'node:crypto';
import { constants, fstatSync, readlinkSync, writeSync } from 'node:fs';
import { VarveError } from '../../base/index.ts';
import {
  check,
  close,
  errno,
  fchmod,
  fchown,
  fileType,
  ftruncate,
  futimens,
  linkat,
  makeDevice,
  mkdirat,
  mknodat,
  openat,
  type SysResult,
  statAt,
  symlinkat,
  type TimeSpec,
  unlinkat,
} from '../../linux/index.ts';
import { layerError, printable } from '../errors.ts';
import { fileIdentity } from '../file-identity.ts';
import { type BytePath, cleanPath, joinPath, pathBytes, splitPath } from '../names.ts';
import { isWhiteout, setOpaque } from '../overlay-marks.ts';
import type { TarEntry, Xattr } from '../tar/entry.ts';
import type { TarHandler } from '../tar/reader.ts';
import { isMetadataPath, readLayerName, whiteoutPrefix } from '../whiteouts.ts';
import { ConfinedRoot, clearFolder, removeTree } from './confined-root.ts';
import { KeptTimes } from './kept-times.ts';
import { applyToFd, applyToName, applyXattrs, defaultAcl, dropXattrs, type Ownership } from './metadata.ts';
import { UnionMarks } from './union-marks.ts';

export interface ExtractOptions {
  /**
   * `overlay` and `apply` as {@link ApplyTarget}; `none` takes `.wh.` names as ordinary ones, for archives that are
   * no layers.
   */
  readonly whiteouts: 'overlay' | 'aufs' | 'apply' | 'none';
  /** Whether an entry for the root itself (`./`) sets the root's owner, mode and times. */
  readonly rootEntry: boolean;
  /** Docker's noOverwriteDirNonDir: a folder does not replace a file nor a file a folder. */
  readonly noOverwriteDirNonDir?: boolean;
  /** Owner of everything instead of the archive's. */
  readonly owner?: Ownership;
  /** Folder inside the root under which all names go; links on the way are resolved inside the root. */
  readonly prefix?: BytePath;
  /** Hashes files' contents as they are written; see {@link Extractor.hashes}. */
  readonly hashFiles?: boolean;
}

/** Files whose hashes are kept; 100,000 take about 15 MB. */
const hashLimit = 100_000;

interface FolderEnd {
  readonly atime: TimeSpec;
  readonly mtime: TimeSpec;
  readonly acl: Buffer | undefined;
}

/** Writes what a tar reader reads into a folder, confined to it. Times of folders are set by {@link Extractor.finish}. */
export class Extractor implements TarHandler, Disposable {
  readonly #root: ConfinedRoot;
  readonly #options: ExtractOptions;
  readonly #overlay: boolean;
  /** In `overlay` and `aufs`. */
  readonly #marks: UnionMarks | undefined;
  readonly #folders = new Map<BytePath, FolderEnd>();
  /** In `apply`: what this layer wrote, by real path; whiteouts do not touch it (OCI layer.md#whiteouts). */
  readonly #written: Set<string> | undefined;
  readonly #kept: KeptTimes | undefined;
  #realParentOf: BytePath | undefined;
  #realParent = '';
  #stale = false;
  #fd = -1;
  #end = 0;
  #size = 0;
  #hash: Hash | undefined;
  readonly #hashes = new Map<string, string>();

  /** @param root an existing folder. */
  constructor(root: string, options: ExtractOptions) {
    this.#root = new ConfinedRoot(root);
    this.#options = options;
    this.#overlay = options.whiteouts === 'overlay';
    if (options.whiteouts === 'overlay' || options.whiteouts === 'aufs') {
      this.#marks = new UnionMarks(this.#root, options.whiteouts);
    }
    if (options.whiteouts === 'apply') {
      this.#written = new Set();
      this.#kept = new KeptTimes(this.#root);
    }
  }

  /** Bytes of file content so far, hard links once. */
  get size(): number {
    return this.#size;
  }

  /**
   * With `hashFiles`: SHA-256 of files without holes, in hex, by {@link fileIdentity}. A file written later under a
   * freed inode overwrites what was noted of the one before.
   */
  get hashes(): ReadonlyMap<string, string> {
    return this.#hashes;
  }

  /** Folders made without an entry of their own, parents first. */
  get impliedFolders(): BytePath[] {
    return this.#root.made;
  }

  entry(entry: TarEntry): void {
    if (this.#stale) this.#forget();
    const cleaned = cleanPath(entry.name);
    if (cleaned === '') {
      this.#rootEntry(entry);
      return;
    }
    const path = this.#below(cleaned);
    const { parent, base } = splitPath(path);
    if (this.#options.whiteouts !== 'none') {
      if (isMetadataPath(parent)) return;
      const name = readLayerName(base, path);
      if (name.kind === 'metadata') return;
      if (name.kind === 'opaque') {
        this.#opaque(parent);
        return;
      }
      if (name.kind === 'whiteout') {
        this.#whiteout(parent, name.name);
        return;
      }
    }
    this.#kept?.note(parent);
    const folder = (this.#marks ?? this.#root).makeFolder(parent);
    this.#create(entry, folder, pathBytes(base), path);
    this.#written?.add(this.#realPath(parent, base));
  }

  data(slice: Buffer, position: number): void {
    if (this.#fd < 0) return;
    for (let done = 0; done < slice.length; ) {
      try {
        done += writeSync(this.#fd, slice, done, slice.length - done, position + done);
      } catch (error) {
        throw writeError(error);
      }
    }
    if (this.#hash && position === this.#end) this.#hash.update(slice);
    else this.#hash = undefined;
    this.#end = position + slice.length;
  }

  end(entry: TarEntry): void {
    if (this.#fd < 0) return;
    if (entry.size > this.#end) check(ftruncate(this.#fd, entry.size), 'ftruncate', entry.name);
    applyToFd(this.#fd, entry, this.#owner(entry), this.#overlay);
    if (this.#options.hashFiles === true) this.#noteHash(entry);
    close(this.#fd);
    this.#fd = -1;
    this.#size += entry.size;
  }

  #noteHash(entry: TarEntry): void {
    const identity = fileIdentity(fstatSync(this.#fd, { bigint: true }));
    this.#hashes.delete(identity);
    if (this.#hash && entry.size === this.#end && this.#hashes.size < hashLimit) {
      this.#hashes.set(identity, this.#hash.digest('hex'));
    }
    this.#hash = undefined;
  }

  /** Sets what had to wait for the end: times and default ACLs of folders, the deepest last entries first. */
  finish(): void {
    this.#marks?.settle();
    this.#kept?.restore();
    for (const [path, { atime, mtime, acl }] of [...this.#folders].toReversed()) {
      const { parent, base } = splitPath(path);
      const folder = path === '' ? this.#root.fd : this.#root.folder(parent);
      if (folder < 0) continue;
      const fd = openat(
        folder,
        path === '' ? '.' : pathBytes(base),
        constants.O_RDONLY | constants.O_DIRECTORY,
      );
      // Replaced by a later entry.
      if (fd < 0) continue;
      if (acl) applyXattrs(fd, [{ name: Buffer.from(defaultAcl), value: acl }], this.#overlay);
      check(futimens(fd, atime, mtime), 'futimens', path);
      close(fd);
    }
  }

  [Symbol.dispose](): void {
    if (this.#fd >= 0) close(this.#fd);
    this.#fd = -1;
    this.#root[Symbol.dispose]();
  }

  #below(path: BytePath): BytePath {
    const { prefix = '' } = this.#options;
    return path === '' ? prefix : joinPath(prefix, path);
  }

  #owner(entry: TarEntry): Ownership {
    return this.#options.owner ?? entry;
  }

  /** The name's place in the tree, with the links of its folder resolved; only a key. */
  #realPath(parent: BytePath, base: string): string {
    if (this.#realParentOf !== parent) {
      const fd = this.#root.folder(parent);
      this.#realParent = fd < 0 ? parent : readlinkSync(`/proc/self/fd/${fd}`, 'latin1');
      this.#realParentOf = parent;
    }
    return `${this.#realParent}/${base}`;
  }

  /** A folder or link went away: nothing remembered about paths holds any more. */
  #forget(): void {
    this.#stale = false;
    this.#root.forget();
    this.#kept?.forget();
    this.#realParentOf = undefined;
  }

  #rootEntry(entry: TarEntry): void {
    const climbs = entry.name.toString('latin1').split('/').includes('..');
    if (!this.#options.rootEntry || this.#options.prefix || entry.type !== 'directory' || climbs) return;
    const owner = this.#owner(entry);
    check(fchown(this.#root.fd, owner.uid, owner.gid), 'fchown', entry.name);
    check(fchmod(this.#root.fd, entry.mode), 'fchmod', entry.name);
    applyXattrs(this.#root.fd, entry.xattrs, this.#overlay, defaultAcl);
    this.#folders.set('', folderEnd(entry));
  }

  #create(entry: TarEntry, folder: number, base: Buffer, path: BytePath): void {
    switch (entry.type) {
      case 'file':
        this.#fd = this.#retry(entry, folder, base, path, () =>
          openat(folder, base, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600),
        );
        this.#end = 0;
        if (this.#options.hashFiles === true) this.#hash = createHash('sha256');
        return;
      case 'directory':
        this.#directory(entry, folder, base, path);
        return;
      case 'symlink':
        if (entry.linkName.length === 0)
          throw layerError('TAR_BAD_LINK', 'a symbolic link to nothing', entry.name);
        this.#retry(entry, folder, base, path, () => symlinkat(entry.linkName, folder, base));
        break;
      case 'hardlink':
        this.#hardlink(entry, folder, base, path);
        return;
      case 'fifo':
        this.#retry(entry, folder, base, path, () => mknodat(folder, base, fileType.fifo | 0o600));
        break;
      case 'character-device':
      case 'block-device': {
        const type = entry.type === 'block-device' ? fileType.blockDevice : fileType.characterDevice;
        const device = makeDevice(entry.deviceMajor, entry.deviceMinor);
        this.#retry(entry, folder, base, path, () => mknodat(folder, base, type | 0o600, device));
        break;
      }
      case 'other':
        // A volume's label (GNU tar -V) is no file.
        if (entry.typeFlag === 0x56) return;
        throw layerError(
          'TAR_UNSUPPORTED_TYPE',
          `entries of type ${printable(String.fromCharCode(entry.typeFlag))} are not supported`,
          entry.name,
        );
    }
    applyToName(folder, base, entry, this.#owner(entry), this.#overlay);
  }

  /** Makes a name; when it is taken, the newcomer replaces it, whatever it is (Docker, containerd, GNU tar). */
  #retry(entry: TarEntry, folder: number, base: Buffer, path: BytePath, make: () => SysResult): number {
    let made = make();
    if (made === -errno.EEXIST) {
      this.#replace(entry, folder, base, path);
      made = make();
    }
    if (made === -errno.ENAMETOOLONG) throw layerError('TAR_BAD_NAME', 'name too long', entry.name);
    return check(made, `create ${entry.type}`, entry.name);
  }

  #replace(entry: TarEntry, folder: number, base: Buffer, path: BytePath): void {
    const gone = unlinkat(folder, base);
    if (gone === -errno.EISDIR) {
      if (this.#options.noOverwriteDirNonDir === true) {
        throw new VarveError(
          'invalid',
          'OVERWRITE_REFUSED',
          `cannot overwrite directory ${printable(path)} with non-directory`,
        );
      }
      removeTree(folder, base, path);
    } else if (gone !== -errno.ENOENT) {
      check(gone, 'unlinkat', entry.name);
    }
    // Only now: the folder's own descriptor is in use.
    this.#stale = true;
  }

  #directory(entry: TarEntry, folder: number, base: Buffer, path: BytePath): void {
    let made = mkdirat(folder, base, 0o700);
    if (made === -errno.EEXIST) {
      const existing = statAt(folder, base);
      if (typeof existing === 'number') check(existing, 'statx', entry.name);
      else if ((existing.mode & fileType.mask) !== fileType.directory) {
        if (this.#options.noOverwriteDirNonDir === true) {
          throw new VarveError(
            'invalid',
            'OVERWRITE_REFUSED',
            `cannot overwrite non-directory ${printable(path)} with directory`,
          );
        }
        check(unlinkat(folder, base), 'unlinkat', entry.name);
        this.#stale = true;
        made = check(mkdirat(folder, base, 0o700), 'mkdirat', entry.name);
        // Its whiteout came before: the folder hides what was there, as opq would say.
        if (this.#overlay && this.#marks?.isHidden(path)) setOpaque(folder, base);
      }
    } else if (made === -errno.ENAMETOOLONG) {
      throw layerError('TAR_BAD_NAME', 'name too long', entry.name);
    } else {
      check(made, 'mkdirat', entry.name);
    }
    const fd = check(openat(folder, base, constants.O_RDONLY | constants.O_DIRECTORY), 'openat', entry.name);
    try {
      this.#root.wasGiven(fd);
      // Under overlayfs a folder looks as its topmost layer has it, attributes and all.
      if (made === -errno.EEXIST && this.#written) dropXattrs(fd, entry.xattrs);
      const owner = this.#owner(entry);
      check(fchown(fd, owner.uid, owner.gid), 'fchown', entry.name);
      check(fchmod(fd, entry.mode), 'fchmod', entry.name);
      if (entry.xattrs.length > 0) applyXattrs(fd, entry.xattrs, this.#overlay, defaultAcl);
    } finally {
      close(fd);
    }
    // A later entry of the same name comes later in the order too.
    this.#folders.delete(path);
    this.#folders.set(path, folderEnd(entry));
  }

  #hardlink(entry: TarEntry, folder: number, base: Buffer, path: BytePath): void {
    const target = this.#below(cleanPath(entry.linkName));
    const bad = (cause?: number): VarveError =>
      layerError(
        'TAR_BAD_LINK',
        `hard link to ${printable(entry.linkName)}, which is not there`,
        entry.name,
        cause,
      );
    if (target === '' || target === path) {
      if (target === '') throw bad();
      return;
    }
    const { parent, base: name } = splitPath(target);
    // `folder` is the root's kept descriptor, which opening another one closes.
    const own = openat(folder, '.', constants.O_RDONLY | constants.O_DIRECTORY);
    check(own, 'openat', entry.name);
    try {
      let from = this.#root.folder(parent);
      if (from === -errno.ENOENT) from = this.#root.folder(this.#root.resolve(parent));
      if (from < 0) throw bad(from);
      const source = statAt(from, pathBytes(name));
      if (typeof source === 'number' || (source.mode & fileType.mask) === fileType.directory) throw bad();
      if (this.#overlay && isWhiteout(source)) throw bad();
      if (this.#options.whiteouts === 'aufs' && name.startsWith(whiteoutPrefix)) throw bad();
      const existing = statAt(own, base);
      if (typeof existing !== 'number') {
        if (existing.inode === source.inode && existing.device === source.device) return;
        this.#replace(entry, own, base, path);
      }
      const made = linkat(from, pathBytes(name), own, base);
      if (made === -errno.ENOENT) throw bad(made);
      check(made, 'linkat', entry.name);
    } finally {
      close(own);
    }
  }

  #whiteout(parent: BytePath, name: string): void {
    if (this.#marks) {
      this.#marks.whiteout(parent, name);
      return;
    }
    const base = pathBytes(name);
    this.#kept?.note(parent);
    const folder = this.#root.folder(parent);
    // Nothing there to delete.
    if (folder === -errno.ENOENT || folder === -errno.ENOTDIR || folder === -errno.ELOOP) return;
    check(folder, 'openat2', parent);
    removeTree(folder, base, this.#realPath(parent, name), (path) => this.#written?.has(path) === true);
    this.#forget();
  }

  #opaque(parent: BytePath): void {
    if (this.#marks) {
      this.#marks.opaque(parent);
      return;
    }
    this.#kept?.note(parent);
    const folder = this.#root.folder(parent);
    if (folder === -errno.ENOENT || folder === -errno.ENOTDIR || folder === -errno.ELOOP) return;
    check(folder, 'openat2', parent);
    const fd = check(openat(folder, '.', constants.O_RDONLY | constants.O_DIRECTORY), 'openat', parent);
    try {
      const real = readlinkSync(`/proc/self/fd/${fd}`, 'latin1');
      clearFolder(fd, real, (path) => this.#written?.has(path) === true);
    } finally {
      close(fd);
    }
    this.#forget();
  }
}

function folderEnd(entry: TarEntry): FolderEnd {
  const acl = entry.xattrs.find(({ name }: Xattr) => name.toString('latin1') === defaultAcl);
  return { atime: entry.atime ?? entry.mtime, mtime: entry.mtime, acl: acl?.value };
}

/** Node knows EDQUOT (122) only as UNKNOWN. */
export function writeError(error: unknown): unknown {
  const { errno: number, code } = error as NodeJS.ErrnoException;
  if (number === -122 || code === 'ENOSPC') {
    return new VarveError('exhausted', 'NO_SPACE', 'no space left on device', {
      cause: error,
      hint: 'free space with `varve system prune`',
    });
  }
  return error;
}
