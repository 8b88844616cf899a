import { type ModelNode, ModelTree, type NodeKind, parentOf } from './model-tree.ts';
import type { RandomSource } from './random-source.ts';

/** What is done to one path, or from one to another. */
export type OperationKind =
  | 'append'
  | 'overwrite'
  | 'truncate'
  | 'grow'
  | 'punch'
  | 'create'
  | 'folder'
  | 'symlink'
  | 'fifo'
  | 'device'
  | 'link'
  | 'move'
  | 'remove'
  | 'mode'
  | 'owner'
  | 'setxattr'
  | 'removexattr';

/** One step of a sequence. It can be done on every file system that holds what the steps before it made. */
export interface Operation {
  readonly kind: OperationKind;
  /** Relative, without a slash at the end. */
  readonly path: string;
  /** Second path of `link` and `move`. */
  readonly to?: string;
  readonly value: number;
  /** Seconds since 1970, its own for every step: the new mtime of all in `touched`. */
  readonly time: number;
  /** What the step changes and what is above: with their times set, equal steps give equal trees, times included. */
  readonly touched: readonly string[];
}

export interface SequenceOptions {
  /**
   * Also change, link and rename files that had two names in an earlier layer. overlayfs without an index breaks such
   * links, so that the tree is no longer that of a plain folder.
   */
  readonly breakLinks?: boolean;
  /** False: no folder is made where an earlier layer has one. */
  readonly recreateFolders?: boolean;
}

const names = ['a', 'b', 'c.d', 'é ', '-rf', '.h', 'x:y', 'n'.repeat(120)];
const weights: Readonly<Record<OperationKind, number>> = {
  append: 4,
  overwrite: 3,
  truncate: 2,
  grow: 1,
  punch: 1,
  create: 10,
  folder: 9,
  symlink: 3,
  fifo: 1,
  device: 1,
  link: 3,
  move: 6,
  remove: 4,
  mode: 3,
  owner: 2,
  setxattr: 2,
  removexattr: 1,
};
const kinds = Object.entries(weights).flatMap(([kind, weight]) =>
  Array.from({ length: weight }, () => kind as OperationKind),
);
const maxDepth = 4;

/** Writes random sequences, layer after layer, each on the tree that those before it left. */
export class Sequence {
  readonly #tree = new ModelTree();
  readonly #random: RandomSource;
  readonly #options: SequenceOptions;
  #layer = 0;
  /** Paths of the folders that the layers before this one left. */
  #folders: ReadonlySet<string> = new Set();
  #time = 1_000_000_000;

  constructor(random: RandomSource, options: SequenceOptions = {}) {
    this.#random = random;
    this.#options = options;
  }

  /** The next layer's steps, at most `count`. */
  nextLayer(count: number): Operation[] {
    const operations: Operation[] = [];
    for (let i = 0; i < count; i++) {
      const operation = this.#step(this.#random.pick(kinds));
      if (operation) operations.push(operation);
    }
    this.#layer++;
    this.#folders = new Set(
      [...this.#tree.paths()].filter(([, { kind }]) => kind === 'folder').map(([path]) => path),
    );
    return operations;
  }

  /** A step of this kind, or nothing when the tree has nothing that it could be done to. */
  #step(kind: OperationKind): Operation | undefined {
    switch (kind) {
      case 'create':
        return this.#make(kind, 'file');
      case 'folder':
      case 'symlink':
      case 'fifo':
      case 'device':
        return this.#make(kind, kind);
      case 'append':
      case 'overwrite':
      case 'truncate':
      case 'grow':
      case 'punch':
        return this.#change(kind, (target) => target.kind === 'file');
      case 'owner':
        return this.#change(kind, () => true);
      case 'mode':
        return this.#change(kind, (target) => target.kind !== 'symlink');
      case 'setxattr':
        return this.#setXattr();
      case 'removexattr':
        return this.#removeXattr();
      case 'link':
        return this.#link();
      case 'move':
        return this.#move();
      case 'remove':
        return this.#remove();
    }
  }

  #make(kind: OperationKind, node: NodeKind): Operation | undefined {
    const path = this.#newPath();
    if (path === undefined || (node === 'folder' && !this.#canBeFolder(path))) return undefined;
    this.#tree.make(path, node, this.#layer);
    return this.#operation(kind, path);
  }

  #change(kind: OperationKind, fits: (node: ModelNode) => boolean): Operation | undefined {
    const path = this.#existing((node) => fits(node) && this.#isFree(node));
    return path === undefined ? undefined : this.#operation(kind, path);
  }

  #canBeFolder(path: string): boolean {
    if (this.#tree.get(path)?.kind === 'folder') return false;
    return this.#options.recreateFolders !== false || !this.#folders.has(path);
  }

  /** Whether a folder and all folders in it may get their new names. */
  #movesFolder(path: string, to: string): boolean {
    const below = [...this.#tree.paths(this.#tree.get(path), `${to}/`)];
    return [to, ...below.filter(([, { kind }]) => kind === 'folder').map(([name]) => name)].every((name) =>
      this.#canBeFolder(name),
    );
  }

  #setXattr(): Operation | undefined {
    const path = this.#existing(({ kind }) => kind === 'file' || kind === 'folder', true);
    if (path === undefined) return undefined;
    const operation = this.#operation('setxattr', path);
    this.#tree.get(path)?.xattrs.add(xattrName(operation.value));
    return operation;
  }

  #removeXattr(): Operation | undefined {
    const path = this.#existing(({ xattrs }) => xattrs.size > 0, true);
    const node = path === undefined ? undefined : this.#tree.get(path);
    const [name] = node?.xattrs ?? [];
    if (path === undefined || name === undefined) return undefined;
    node?.xattrs.delete(name);
    return { ...this.#operation('removexattr', path), value: Number(name.slice(-1)) };
  }

  #link(): Operation | undefined {
    const path = this.#existing(({ kind }) => kind !== 'folder', true);
    const to = this.#newPath();
    const node = path === undefined ? undefined : this.#tree.get(path);
    if (path === undefined || !node || to === undefined || this.#tree.get(to)) return undefined;
    this.#tree.add(to, node);
    return this.#operation('link', path, to);
  }

  #move(): Operation | undefined {
    // overlayfs renames no folder of a lower layer (EXDEV), and a new one as any file system does.
    const path = this.#existing(({ kind, born }) => kind !== 'folder' || born === this.#layer, true);
    const to = this.#newPath();
    if (path === undefined || to === undefined || to === path || to.startsWith(`${path}/`)) return undefined;
    const [node, replaced] = [this.#tree.get(path), this.#tree.get(to)];
    // Renaming a file to another of its names does nothing; a folder takes no name that is taken.
    if (node?.kind === 'folder' && !this.#movesFolder(path, to)) return undefined;
    if (replaced && (replaced === node || replaced.kind === 'folder' || node?.kind === 'folder'))
      return undefined;
    this.#tree.move(path, to);
    return this.#operation('move', path, to);
  }

  #remove(): Operation | undefined {
    const path = this.#existing(() => true);
    if (path === undefined) return undefined;
    this.#tree.remove(path);
    return this.#operation('remove', path);
  }

  #operation(kind: OperationKind, path: string, to?: string): Operation {
    const touched = [path, ...above(path), ...(to === undefined ? [] : [to, ...above(to)])];
    return {
      kind,
      path,
      ...(to === undefined ? {} : { to }),
      value: this.#random.below(1000),
      time: this.#time++,
      touched: [...new Set(touched)].filter((name) => this.#tree.get(name)),
    };
  }

  /** Whether a change of the node is seen through all its names under every file system. */
  #isFree({ kind, names: count, born }: ModelNode): boolean {
    return this.#options.breakLinks === true || kind === 'folder' || count === 1 || born === this.#layer;
  }

  #existing(fits: (node: ModelNode) => boolean, free = false): string | undefined {
    const found = [...this.#tree.paths()].filter(([, node]) => fits(node) && (!free || this.#isFree(node)));
    return found.length === 0 ? undefined : this.#random.pick(found)[0];
  }

  /** A path in some folder, which may be taken. */
  #newPath(): string | undefined {
    const folders = [
      '',
      ...[...this.#tree.paths()].filter(([, { kind }]) => kind === 'folder').map(([path]) => path),
    ];
    const folder = this.#random.pick(folders);
    if (folder.split('/').length >= maxDepth) return undefined;
    const name = this.#random.pick(names);
    return folder === '' ? name : `${folder}/${name}`;
  }
}

function above(path: string): string[] {
  const parent = parentOf(path);
  return parent === '' ? [] : [parent, ...above(parent)];
}

/** Attribute that a step with this value sets or removes. */
export function xattrName(value: number): string {
  return `user.k${value % 3}`;
}
