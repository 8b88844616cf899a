import { closeSync, constants, openSync, readlinkSync } from 'node:fs';
import {
  check,
  close,
  errno,
  fchmodat,
  isFolderBeneath,
  listFolder,
  mkdirat,
  openat,
  openat2,
  openFlags,
  readlinkat,
  resolveFlags,
  rmdirat,
  type SysResult,
  unlinkat,
} from '../../linux/index.ts';
import { layerError } from '../errors.ts';
import { type BytePath, pathBytes, splitPath } from '../names.ts';
import { resolveLinks } from '../resolve-links.ts';

const folderFlags = openFlags.path | constants.O_DIRECTORY;
const resolve = resolveFlags.inRoot | resolveFlags.noMagicLinks;
/** Bytes of a folder's real path: with a name in it, it fits PATH_MAX, so that other programs can reach and remove it. */
const maxPathBytes = 4096 - 256 - 2;

/**
 * A folder that nothing reached through it can leave: folders are opened by openat2(2) with the root as `/`, so that
 * absolute links and `..` stay inside, and what is done then is done to a plain name below such a descriptor. Holds
 * against archives and against a process that changes the tree meanwhile.
 */
export class ConfinedRoot implements Disposable {
  readonly fd: number;
  #path: BytePath | undefined;
  #folder = -1;
  /** The last path whose depth was found right. */
  #reachable: BytePath | undefined;
  readonly #made = new Set<string>();

  /** @throws a system error when `root` is no folder. */
  constructor(root: string) {
    this.fd = openSync(root, constants.O_DIRECTORY | constants.O_RDONLY);
  }

  /**
   * A descriptor (O_PATH) of a folder, kept until the next call or {@link ConfinedRoot.forget}; a negative errno when
   * it does not exist (ENOENT) or is no folder (ENOTDIR).
   */
  folder(path: BytePath): SysResult {
    if (path === '') return this.fd;
    if (path === this.#path) return this.#folder;
    const fd = openat2(this.fd, pathBytes(path), folderFlags, 0, resolve);
    if (fd >= 0) this.#keep(path, fd);
    return fd;
  }

  #keep(path: BytePath, fd: number): void {
    this.forget();
    this.#path = path;
    this.#folder = fd;
  }

  /** To be called when a folder or link was removed or replaced: the kept one may have been below it. */
  forget(): void {
    if (this.#folder >= 0) close(this.#folder);
    this.#folder = -1;
    this.#path = undefined;
    this.#reachable = undefined;
  }

  /**
   * As {@link ConfinedRoot.folder}, making what is missing (0755, as Docker does). A link that leads to nothing gets
   * the folder it names, inside the root.
   * @throws VarveError TAR_NOT_A_FOLDER, TAR_BAD_NAME.
   */
  makeFolder(path: BytePath): number {
    const found = this.folder(path);
    if (found >= 0) return this.#refuseTooDeep(path, found);
    if (found === -errno.ENAMETOOLONG) throw layerError('TAR_BAD_NAME', 'name too long', pathBytes(path));
    if (found === -errno.ENOTDIR || found === -errno.ELOOP) {
      throw layerError('TAR_NOT_A_FOLDER', 'not a folder', pathBytes(path));
    }
    if (found !== -errno.ENOENT) check(found, 'openat2', pathBytes(path));
    let fd = check(openat(this.fd, '.', folderFlags), 'openat', '.');
    for (const part of this.resolve(path).split('/')) {
      const next = makeInside(fd, part === '' ? Buffer.from('.') : pathBytes(part), path, this.#made);
      close(fd);
      fd = next;
    }
    this.#keep(path, fd);
    return this.#refuseTooDeep(path, fd);
  }

  /** Through links, short names make trees deeper than any path is long, which nothing could clean up. */
  #refuseTooDeep(path: BytePath, fd: number): number {
    if (path === '' || path === this.#reachable) return fd;
    if (realPath(fd).length > maxPathBytes) throw tooDeep();
    this.#reachable = path;
    return fd;
  }

  /**
   * The path without links, as the text has it where nothing exists (`missing/../etc` is `etc`); for paths on which the
   * kernel gives ENOENT. Only text comes out: what is opened by it is confined again.
   * @throws VarveError TAR_NOT_A_FOLDER when links lead in circles.
   */
  resolve(path: BytePath): BytePath {
    return resolveLinks(path, (link) => this.#readLink(link));
  }

  #readLink(path: BytePath): Buffer | undefined {
    const { parent, base } = splitPath(path);
    const fd = parent === '' ? this.fd : openat2(this.fd, pathBytes(parent), folderFlags, 0, resolve);
    if (fd < 0) return undefined;
    const target = readlinkat(fd, pathBytes(base));
    if (fd !== this.fd) close(fd);
    return typeof target === 'number' ? undefined : target;
  }

  /**
   * Paths of the folders that {@link ConfinedRoot.makeFolder} made, relative to the root, parents first. Not those that are
   * gone, also when a link has taken their place or that of a folder above: the path would lead elsewhere.
   */
  get made(): BytePath[] {
    const start = realPath(this.fd).length + 1;
    return Array.from(this.#made, (path) => path.slice(start))
      .filter((path) => isFolderBeneath(this.fd, pathBytes(path)))
      .sort();
  }

  /** Whether an open folder was made without an entry of its own. */
  isImplied(fd: number): boolean {
    return this.#made.has(realPath(fd));
  }

  /** An open folder was made without an entry of its own. */
  wasImplied(fd: number): void {
    this.#made.add(realPath(fd));
  }

  /** An open folder got an entry of its own after all. */
  wasGiven(fd: number): void {
    if (this.#made.size > 0) this.#made.delete(realPath(fd));
  }

  [Symbol.dispose](): void {
    this.forget();
    closeSync(this.fd);
  }
}

/** Opens a folder, making it when it is missing (and noting that); `dirfd` is closed when that fails. */
function makeInside(dirfd: number, base: Buffer, path: BytePath, noted: Set<string>): number {
  try {
    const made = mkdirat(dirfd, base, 0o755);
    // The umask had its say in mkdirat.
    if (made >= 0) check(fchmodat(dirfd, base, 0o755), 'fchmodat', pathBytes(path));
    else if (made === -errno.ENAMETOOLONG) throw layerError('TAR_BAD_NAME', 'name too long', pathBytes(path));
    else if (made !== -errno.EEXIST) check(made, 'mkdirat', pathBytes(path));
    const fd = openat(dirfd, base, folderFlags);
    if (fd === -errno.ENOTDIR || fd === -errno.ELOOP) {
      throw layerError('TAR_NOT_A_FOLDER', 'not a folder', pathBytes(path));
    }
    check(fd, 'openat', pathBytes(path));
    if (made >= 0) note(fd, noted);
    return fd;
  } catch (error) {
    close(dirfd);
    throw error;
  }
}

function note(fd: number, noted: Set<string>): void {
  try {
    noted.add(realPath(fd));
  } catch (error) {
    close(fd);
    throw error;
  }
}

function tooDeep(): Error {
  return layerError('TAR_BAD_NAME', 'folders deeper than a path can be long');
}

function realPath(fd: number): string {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`, 'latin1');
  } catch (error) {
    throw (error as NodeJS.ErrnoException).code === 'ENAMETOOLONG' ? tooDeep() : error;
  }
}

/**
 * Removes whatever has this name, with all below it, following nothing. Missing is fine.
 * @param keep says of a name below which is to stay; a folder with something to stay in it stays too.
 * @returns whether it is gone.
 */
export function removeTree(
  dirfd: number,
  name: Buffer,
  path: BytePath,
  keep?: (path: BytePath) => boolean,
): boolean {
  if (keep?.(path) !== true) {
    const gone = unlinkat(dirfd, name);
    if (gone >= 0 || gone === -errno.ENOENT) return true;
    if (gone !== -errno.EISDIR) check(gone, 'unlinkat', name);
  }
  const fd = openat(dirfd, name, constants.O_RDONLY | constants.O_DIRECTORY);
  // Kept by name, and never made: a hard link to itself.
  if (fd === -errno.ENOENT) return true;
  // Kept, and no folder.
  if (fd === -errno.ENOTDIR || fd === -errno.ELOOP) return false;
  check(fd, 'openat', name);
  let empty = true;
  try {
    empty = clearFolder(fd, path, keep);
  } finally {
    close(fd);
  }
  if (keep?.(path) === true || !empty) return false;
  check(rmdirat(dirfd, name), 'unlinkat', name);
  return true;
}

/** Removes what is in a folder; see {@link removeTree}. @returns whether nothing is left. */
export function clearFolder(fd: number, path: BytePath, keep?: (path: BytePath) => boolean): boolean {
  const entries = listFolder(fd);
  if (typeof entries === 'number') {
    check(entries, 'getdents64', path);
    return false;
  }
  let empty = true;
  for (const { name } of entries) {
    if (!removeTree(fd, name, `${path}/${name.toString('latin1')}`, keep)) empty = false;
  }
  return empty;
}
