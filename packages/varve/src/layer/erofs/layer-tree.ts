import type { TimeSpec } from '../../linux/index.ts';
import { xattrName } from '../apply/metadata.ts';
import { layerError, printable } from '../errors.ts';
import { type BytePath, cleanPath, pathBytes, splitPath } from '../names.ts';
import { maxLinks, resolveLinks } from '../resolve-links.ts';
import type { TarEntry, TarEntryType } from '../tar/entry.ts';
import type { TarHandler } from '../tar/reader.ts';
import { isMetadataPath, overlayXattrs, readLayerName } from '../whiteouts.ts';
import { Inode, types } from './inode.ts';

/** PATH_MAX less a name and a mount point: what is deeper no program could name. */
const maxPathBytes = 3584;
const maxNameBytes = 255;
/** A link's target is shorter than a page. symlink(2) */
const maxTargetBytes = 4095;
/** Values are counted in 16 bits on disk; setxattr(2) takes one byte more. */
const maxXattrBytes = 0xffff;
const maxXattrNameBytes = 255;

const xattrNamespaces = /^(?:user\.|trusted\.|security\.)./;
const acls: ReadonlySet<string> = new Set(['system.posix_acl_access', 'system.posix_acl_default']);

/**
 * The tree that unpacking a layer would give, in memory: the same rules as the extractor's, in overlayfs's form, without
 * touching a file system. Links on an entry's way are resolved inside the tree, so nothing leads out of it.
 */
export class LayerTree implements TarHandler {
  readonly root = new Inode(types.directory | 0o755);
  readonly #bottom: boolean;
  #size = 0;
  #rootSet = false;
  /** The folder of the last entry: most stand beside the one before. */
  #lastPath: BytePath | undefined;
  #lastFolder = this.root;
  /** Folders in which the layer deletes something. */
  readonly #hiding = new Set<Inode>();

  /** @param bottom nothing lies below the layer: whiteouts hide nothing, and are left out. */
  constructor(bottom: boolean) {
    this.#bottom = bottom;
  }

  /** Bytes of file content, hard links once. */
  get size(): number {
    return this.#size;
  }

  /** Whether the archive has an entry for its root. */
  get rootSet(): boolean {
    return this.#rootSet;
  }

  entry(entry: TarEntry): void {
    const path = cleanPath(entry.name);
    if (path === '') {
      this.#rootEntry(entry);
      return;
    }
    const { parent, base } = splitPath(path);
    if (isMetadataPath(parent)) return;
    const name = readLayerName(base, path);
    if (name.kind === 'metadata') return;
    if (name.kind !== 'entry') {
      if (this.#bottom) return;
      const folder = this.#makeFolder(parent, entry);
      if (name.kind === 'opaque') setOpaque(folder);
      else this.#whiteOut(folder, name.name, entry);
      return;
    }
    if (base.length > maxNameBytes) throw layerError('TAR_BAD_NAME', 'name too long', entry.name);
    // A volume's label (GNU tar -V) is no file.
    if (entry.type === 'other' && entry.typeFlag === 0x56) return;
    const folder = this.#makeFolder(parent, entry);
    if (entry.type === 'hardlink') this.#hardlink(entry, folder, base, path);
    else if (entry.type === 'directory') this.#directory(entry, folder, base);
    else this.#place(folder, base, this.#inodeOf(entry));
  }

  /**
   * To be called when all is read. A folder that was made for whiteouts alone, in one that is deleted, is not there; one that
   * was made anew after its deletion owes nothing to what was below.
   */
  finish(): void {
    for (const folder of this.#hiding) {
      for (const name of folder.hidden ?? []) {
        const inode = folder.children?.get(name);
        if (!inode?.children || !inode.implied) continue;
        if (isOnlyMarks(inode)) folder.children?.set(name, whiteout(inode.mtime));
        else if (inode.anew) inode.implied = false;
      }
    }
    this.#lastPath = undefined;
  }

  /** What is at a path, no link followed. */
  find(path: BytePath): Inode | undefined {
    let inode: Inode | undefined = this.root;
    for (const part of path === '' ? [] : path.split('/')) inode = inode?.children?.get(part);
    return inode;
  }

  #whiteOut(folder: Inode, name: string, entry: TarEntry): void {
    if (name.length > maxNameBytes) throw layerError('TAR_BAD_NAME', 'name too long', entry.name);
    folder.hidden ??= new Set();
    folder.hidden.add(name);
    this.#hiding.add(folder);
    const existing = folder.children?.get(name);
    // This layer has the name itself: that hides a lower file, and a lower folder when it is opaque.
    if (existing?.children) setOpaque(existing);
    if (!existing) folder.children?.set(name, whiteout(entry.mtime));
  }

  #rootEntry(entry: TarEntry): void {
    const climbs = entry.name.toString('latin1').split('/').includes('..');
    if (entry.type !== 'directory' || climbs) return;
    this.#rootSet = true;
    this.root.mode = modeOf(entry);
    setMetadata(this.root, entry);
  }

  #place(folder: Inode, base: string, inode: Inode): void {
    const existing = folder.children?.get(base);
    if (existing?.children || existing?.target) this.#lastPath = undefined;
    folder.children?.set(base, inode);
  }

  #inodeOf(entry: TarEntry): Inode {
    const inode = new Inode(modeOf(entry));
    setMetadata(inode, entry);
    if (entry.type === 'file') {
      inode.content = { size: entry.size, offset: entry.dataOffset, sparse: entry.sparse };
      this.#size += entry.size;
    } else if (entry.type === 'symlink') {
      inode.target = targetOf(entry);
    } else {
      inode.device = deviceOf(entry);
    }
    return inode;
  }

  #directory(entry: TarEntry, folder: Inode, base: string): void {
    const existing = folder.children?.get(base);
    if (existing?.children) {
      existing.implied = false;
      existing.mode = modeOf(entry);
      setMetadata(existing, entry);
      return;
    }
    const inode = this.#inodeOf(entry);
    // Its whiteout came before: the folder hides what was there, as opq would say.
    if (existing && folder.hidden?.has(base)) setOpaque(inode);
    this.#place(folder, base, inode);
  }

  #hardlink(entry: TarEntry, folder: Inode, base: string, path: BytePath): void {
    const target = cleanPath(entry.linkName);
    if (target === path) return;
    const { parent, base: name } = splitPath(target);
    const from = target === '' ? undefined : this.#existing(parent);
    const source = from?.children?.get(name);
    if (!source || source.children || source.isWhiteout) {
      throw layerError(
        'TAR_BAD_LINK',
        `hard link to ${printable(entry.linkName)}, which is not there`,
        entry.name,
      );
    }
    this.#place(folder, base, source);
  }

  /** The folder at a path, links followed inside the tree; made where it is missing. */
  #makeFolder(path: BytePath, entry: TarEntry): Inode {
    if (path === this.#lastPath) return this.#lastFolder;
    let folder = this.#walk(path);
    if (folder === 'barred') throw layerError('TAR_NOT_A_FOLDER', 'not a folder', pathBytes(path));
    if (!folder) {
      const real = resolveLinks(path, (link) => this.find(link)?.target);
      if (real.length > maxPathBytes) throw layerError('TAR_BAD_NAME', 'path too long', pathBytes(path));
      folder = this.root;
      for (const part of real === '' ? [] : real.split('/')) folder = this.#step(folder, part, path, entry);
    }
    this.#lastPath = path;
    this.#lastFolder = folder;
    return folder;
  }

  #step(folder: Inode, part: string, path: BytePath, entry: TarEntry): Inode {
    const next = folder.children?.get(part);
    if (next?.children) return next;
    const isDeleted = next?.isWhiteout === true && folder.hidden?.has(part) === true;
    if (next && !isDeleted) throw layerError('TAR_NOT_A_FOLDER', 'not a folder', pathBytes(path));
    if (part.length > maxNameBytes) throw layerError('TAR_BAD_NAME', 'name too long', pathBytes(path));
    const made = new Inode(types.directory | 0o755);
    made.implied = true;
    made.mtime = entry.mtime;
    if (isDeleted) {
      made.anew = true;
      setOpaque(made);
    }
    folder.children?.set(part, made);
    return made;
  }

  /** The folder at a path, where it exists. */
  #existing(path: BytePath): Inode | undefined {
    const folder = this.#walk(path) ?? this.#walk(resolveLinks(path, (link) => this.find(link)?.target));
    return folder === 'barred' ? undefined : folder;
  }

  /**
   * The folder at a path as the kernel resolves it with the root as `/`; undefined when something is not there (ENOENT),
   * `barred` when something is no folder or links lead in circles (ENOTDIR, ELOOP).
   */
  #walk(path: BytePath): Inode | 'barred' | undefined {
    const stack: Inode[] = [this.root];
    const parts = path.split('/').toReversed();
    for (let links = 0; parts.length > 0; ) {
      const part = parts.pop() as string;
      if (part === '' || part === '.') continue;
      if (part === '..') {
        if (stack.length > 1) stack.pop();
        continue;
      }
      const folder = stack.at(-1);
      const next = folder?.children?.get(part);
      if (!next || (next.isWhiteout && folder?.hidden?.has(part))) return undefined;
      if (next.target) {
        if (++links > maxLinks) return 'barred';
        const text = next.target.toString('latin1');
        if (text.startsWith('/')) stack.length = 1;
        parts.push(...text.split('/').toReversed());
      } else if (next.children) {
        stack.push(next);
      } else {
        return 'barred';
      }
    }
    return stack.at(-1);
  }
}

export function setOpaque(folder: Inode): void {
  folder.setXattr(overlayXattrs.opaque, Buffer.from('y'));
}

function whiteout(mtime: TimeSpec): Inode {
  const mark = new Inode(types.character);
  mark.mtime = mtime;
  return mark;
}

/** True for a folder that holds nothing but whiteouts and folders like itself, without entries of their own. */
function isOnlyMarks({ children }: Inode): boolean {
  return [...(children?.values() ?? [])].every(
    (inode) => inode.isWhiteout || (inode.children && inode.implied && isOnlyMarks(inode)),
  );
}

const typeBits: Partial<Record<TarEntryType, number>> = {
  file: types.regular,
  directory: types.directory,
  symlink: types.symlink,
  fifo: types.fifo,
  'character-device': types.character,
  'block-device': types.block,
};

function modeOf(entry: TarEntry): number {
  const type = typeBits[entry.type];
  if (type === undefined) {
    throw layerError(
      'TAR_UNSUPPORTED_TYPE',
      `entries of type ${printable(String.fromCharCode(entry.typeFlag))} are not supported`,
      entry.name,
    );
  }
  return type | (type === types.symlink ? 0o777 : entry.mode & 0o7777);
}

function targetOf({ name, linkName }: TarEntry): Buffer {
  if (linkName.length === 0) throw layerError('TAR_BAD_LINK', 'a symbolic link to nothing', name);
  if (linkName.length > maxTargetBytes || linkName.includes(0)) {
    throw layerError('TAR_BAD_LINK', 'a symbolic link that cannot be', name);
  }
  return linkName;
}

/** The kernel has 12 bits for the major and 20 for the minor number; both are 0 for what is no device. */
function deviceOf(entry: TarEntry): readonly [number, number] {
  const { deviceMajor: major, deviceMinor: minor } = entry;
  if (major < 0 || major > 0xfff || minor < 0 || minor > 0xfffff) {
    throw layerError('TAR_BAD_HEADER', 'device number out of range in a tar header', entry.name);
  }
  return [major, minor];
}

function setMetadata(inode: Inode, entry: TarEntry): void {
  inode.uid = entry.uid;
  inode.gid = entry.gid;
  inode.mtime = entry.mtime;
  for (const { name, value } of entry.xattrs) {
    const to = xattrName(name, true)?.toString('latin1');
    if (to !== undefined && canHave(inode, to)) setChecked(inode, to, value);
  }
}

/** What no file system could hold is left out, as in unpacking: user.* is for files and folders only. */
function canHave(inode: Inode, name: string): boolean {
  const isPlain = inode.type === types.regular || inode.type === types.directory;
  if (name.startsWith('user.')) return isPlain && name.length > 5;
  if (acls.has(name)) return inode.type !== types.symlink;
  return xattrNamespaces.test(name);
}

function setChecked(inode: Inode, name: string, value: Buffer): void {
  if (name.length > maxXattrNameBytes || name.includes('\0') || value.length > maxXattrBytes) {
    throw layerError('TAR_BAD_XATTR', 'an attribute that cannot be', name);
  }
  inode.setXattr(name, value);
}
