import { fileType, getXattr, listXattrs, statAt, type TimeSpec } from '../../linux/index.ts';
import { type BytePath, pathBytes } from '../names.ts';
import type { Xattr } from '../tar/entry.ts';
import { overlayXattrs } from '../whiteouts.ts';
import { IndexReader } from './index-reader.ts';
import type { FolderAttributes } from './settle-tree.ts';

/** A layer below, in overlayfs's own form: an index that need not be mounted, or a folder. */
export type LowerLayer = { readonly index: string } | { readonly folder: string };

/** What a layer has at a path. */
export interface LowerFile {
  /** Type and permission bits. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtime: TimeSpec;
  readonly isWhiteout: boolean;
}

export interface LowerReader<F extends LowerFile = LowerFile> extends Disposable {
  find(path: BytePath): F | undefined;
  xattrs(file: F): readonly Xattr[];
}

/** The layers below one, topmost first, looked through as overlayfs does. Each is opened when it is first asked. */
export class LowerLayers implements Disposable {
  readonly #layers: readonly LowerLayer[];
  readonly #readers: (LowerReader | undefined)[] = [];

  constructor(layers: readonly LowerLayer[]) {
    this.#layers = layers;
  }

  /** True when the stack shows something at the path. */
  has(path: BytePath): boolean {
    return this.#find(path) !== undefined;
  }

  /** What a folder looks like in the stack; undefined when there is none. */
  folder(path: BytePath): FolderAttributes | undefined {
    const found = this.#find(path);
    if (!found || !isFolder(found.file)) return undefined;
    const { mode, uid, gid, mtime } = found.file;
    const xattrs = found.reader
      .xattrs(found.file)
      .filter(({ name }) => !name.toString('latin1').startsWith(overlayXattrs.trusted));
    return { mode: mode & 0o7777, uid, gid, mtime, xattrs };
  }

  [Symbol.dispose](): void {
    for (const reader of this.#readers) reader?.[Symbol.dispose]();
  }

  #find(path: BytePath): { readonly reader: LowerReader; readonly file: LowerFile } | undefined {
    const parts = path.split('/');
    for (let layer = 0; layer < this.#layers.length; layer++) {
      const reader = this.#reader(layer);
      const answer = lookIn(reader, parts);
      if (answer === 'hidden') return undefined;
      if (answer !== 'go on') return { reader, file: answer };
    }
    return undefined;
  }

  #reader(number: number): LowerReader {
    const known = this.#readers[number];
    if (known) return known;
    const layer = this.#layers[number] as LowerLayer;
    const reader = 'index' in layer ? new IndexReader(layer.index) : new FolderReader(layer.folder);
    this.#readers[number] = reader;
    return reader;
  }
}

function lookIn(reader: LowerReader, parts: readonly string[]): LowerFile | 'hidden' | 'go on' {
  let hidesBelow = false;
  for (let length = 1; length <= parts.length; length++) {
    const file = reader.find(parts.slice(0, length).join('/'));
    if (!file) return hidesBelow ? 'hidden' : 'go on';
    if (file.isWhiteout) return 'hidden';
    if (length === parts.length) return file;
    if (!isFolder(file)) return 'hidden';
    hidesBelow ||= isOpaque(reader, file);
  }
  return 'go on';
}

const isFolder = ({ mode }: LowerFile): boolean => (mode & fileType.mask) === fileType.directory;

function isOpaque(reader: LowerReader, file: LowerFile): boolean {
  return reader
    .xattrs(file)
    .some(({ name, value }) => name.toString('latin1') === overlayXattrs.opaque && value.toString() === 'y');
}

interface FolderFile extends LowerFile {
  readonly name: Buffer;
}

const currentFolder = -100; // AT_FDCWD

class FolderReader implements LowerReader<FolderFile> {
  readonly #root: Buffer;

  constructor(folder: string) {
    this.#root = Buffer.from(`${folder}/`);
  }

  find(path: BytePath): FolderFile | undefined {
    const name = Buffer.concat([this.#root, pathBytes(path)]);
    const stat = statAt(currentFolder, name);
    if (typeof stat === 'number') return undefined;
    const { mode, uid, gid, mtime, rdevMajor, rdevMinor } = stat;
    const isDevice = (mode & fileType.mask) === fileType.characterDevice;
    return { name, mode, uid, gid, mtime, isWhiteout: isDevice && rdevMajor === 0 && rdevMinor === 0 };
  }

  xattrs({ name: file }: FolderFile): readonly Xattr[] {
    const names = listXattrs(file);
    const found: Xattr[] = [];
    for (const name of typeof names === 'number' ? [] : names) {
      const value = getXattr(file, name);
      if (value instanceof Buffer) found.push({ name, value });
    }
    return found;
  }

  [Symbol.dispose](): void {}
}
