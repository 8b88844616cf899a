export type NodeKind = 'file' | 'folder' | 'symlink' | 'fifo' | 'device';

/** One inode of a {@link ModelTree}. */
export interface ModelNode {
  readonly kind: NodeKind;
  /** Number of the layer that made it. */
  readonly born: number;
  /** How many paths lead to it. */
  names: number;
  /** Names of attributes that were set on it. */
  readonly xattrs: Set<string>;
  readonly children: Map<string, ModelNode>;
}

/** Which paths a tree has after a sequence of operations, known without looking at any file system. */
export class ModelTree {
  readonly root: ModelNode = node('folder', -1);

  /** Every path with its node; parents before their children, the root not among them. */
  *paths(from = this.root, prefix = ''): Generator<readonly [path: string, node: ModelNode], void, void> {
    for (const [name, child] of from.children) {
      yield [prefix + name, child];
      yield* this.paths(child, `${prefix}${name}/`);
    }
  }

  get(path: string): ModelNode | undefined {
    let found: ModelNode | undefined = this.root;
    if (path !== '') for (const part of path.split('/')) found = found?.children.get(part);
    return found;
  }

  make(path: string, kind: NodeKind, layer: number): void {
    this.add(path, node(kind, layer));
  }

  /** One more name for a node; whatever had the name loses it. */
  add(path: string, what: ModelNode): void {
    this.remove(path);
    what.names++;
    this.#parent(path).children.set(base(path), what);
  }

  /** Takes a name away, with all below it. */
  remove(path: string): void {
    const gone = this.get(path);
    if (!gone) return;
    for (const [, below] of this.paths(gone)) below.names--;
    gone.names--;
    this.#parent(path).children.delete(base(path));
  }

  move(from: string, to: string): void {
    const what = this.get(from);
    if (!what) throw new Error(`no ${from} to move`);
    this.remove(to);
    this.#parent(from).children.delete(base(from));
    this.#parent(to).children.set(base(to), what);
  }

  #parent(path: string): ModelNode {
    const parent = this.get(parentOf(path));
    if (!parent) throw new Error(`no folder for ${path}`);
    return parent;
  }
}

function node(kind: NodeKind, born: number): ModelNode {
  return { kind, born, names: 0, xattrs: new Set(), children: new Map() };
}

/** The folder of a relative path; the empty path for those of the root. */
export function parentOf(path: string): string {
  return path.includes('/') ? path.slice(0, path.lastIndexOf('/')) : '';
}

function base(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}
