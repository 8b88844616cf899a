import { closeSync, constants, openSync } from 'node:fs';
import {
  check,
  close,
  errno,
  fchmodat,
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
import { type BytePath, cleanPath, pathBytes, splitPath } from '../names.ts';

const folderFlags = openFlags.path | constants.O_DIRECTORY;
const resolve = resolveFlags.inRoot | resolveFlags.noMagicLinks;
/** Links that lead to links; the kernel's own limit is 40. */
const maxLinks = 40;

/**
 * A folder that nothing reached through it can leave: folders are opened by openat2(2) with the root as `/`, so that
 * absolute links and `..` stay inside, and what is done then is done to a plain name below such a descriptor. Holds
 * against archives and against a process that changes the tree meanwhile.
 */
export class ConfinedRoot implements Disposable {
  readonly fd: number;
  #path: BytePath | undefined;
  #folder = -1;

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
  }

  /**
   * As {@link ConfinedRoot.folder}, making what is missing (0755, as Docker does). A link that leads to nothing gets
   * the folder it names, inside the root.
   * @throws VarveError TAR_NOT_A_FOLDER, TAR_BAD_NAME.
   */
  makeFolder(path: BytePath): number {
    const found = this.folder(path);
    if (found >= 0) return found;
    const fd = this.#make(path, 0);
    this.#keep(path, fd);
    return fd;
  }

  /** Opens `path` with its missing parts made; the caller closes it. `path` may hold `..` that came from links. */
  #make(path: BytePath, links: number): number {
    const name = pathBytes(path === '' ? '.' : path);
    const found = openat2(this.fd, name, folderFlags, 0, resolve);
    if (found >= 0) return found;
    if (found === -errno.ENAMETOOLONG) throw layerError('TAR_BAD_NAME', 'name too long', name);
    if (found === -errno.ENOTDIR || links >= maxLinks || found === -errno.ELOOP) {
      throw layerError('TAR_NOT_A_FOLDER', 'not a folder', name);
    }
    if (found !== -errno.ENOENT) check(found, 'openat2', name);
    const { parent, base } = splitPath(path.replace(/\/+$/, ''));
    if (base === '' || base === '.' || base === '..')
      throw layerError('TAR_NOT_A_FOLDER', 'not a folder', name);
    const above = this.#make(parent, links);
    try {
      const made = mkdirat(above, pathBytes(base), 0o755);
      if (made === -errno.EEXIST) {
        const target = readlinkat(above, pathBytes(base));
        if (typeof target === 'number') throw layerError('TAR_NOT_A_FOLDER', 'not a folder', name);
        const text = target.toString('latin1');
        return this.#make(text.startsWith('/') ? cleanPath(target) : `${parent}/${text}`, links + 1);
      }
      check(made, 'mkdirat', name);
      // The umask had its say in mkdirat.
      check(fchmodat(above, pathBytes(base), 0o755), 'fchmodat', name);
      return check(openat(above, pathBytes(base), folderFlags), 'openat', name);
    } finally {
      close(above);
    }
  }

  [Symbol.dispose](): void {
    this.forget();
    closeSync(this.fd);
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
