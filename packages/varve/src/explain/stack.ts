import { joinParts, pathParts } from './paths.ts';
import type { ExplainImage, FileFacts, LayerEntry, LayerName } from './types.ts';

/** A file of one layer under all its names there; hard links share it. */
export interface Inode {
  readonly layer: number;
  readonly facts: FileFacts;
  readonly xattrs: string | undefined;
  /** Names in the finished layer. */
  readonly names: Set<StackNode>;
  /** The first name it had in the tar. */
  readonly firstName: StackNode;
}

/** What one layer says of a path. */
export interface Version {
  readonly layer: number;
  /** What is there; undefined when the layer only deletes. */
  inode?: Inode;
  /** A folder that has no entry of its own, only entries below it. */
  implied?: boolean;
  /** Such a folder, made after its layer deleted the name: it does not look as it does in the layers below. */
  madeAnew?: boolean;
  /** A whiteout of the path: what lies below this layer is deleted. */
  whiteout?: boolean;
  /** Of a folder: nothing of the layers below shows in it. */
  opaque?: boolean;
}

/** A path of any layer. */
export interface StackNode {
  readonly name: string;
  readonly parent: StackNode | undefined;
  readonly children: Map<string, StackNode>;
  /** By layer, the bottom one first. */
  readonly versions: Version[];
}

/** All layers of an image as one tree: each path with what every layer says of it. */
export interface Stack {
  readonly root: StackNode;
  readonly layers: readonly LayerName[];
  /** Every file with content, in the order of layers; those that lost their last name inside their own layer too. */
  readonly inodes: readonly Inode[];
}

const opaqueName = '.wh..wh..opq';
const whiteoutPrefix = '.wh.';
const metadataPrefix = '.wh..wh.';

/** Absolute path of a node. */
export function nodePath(node: StackNode): string {
  const parts: string[] = [];
  for (let at: StackNode | undefined = node; at?.parent; at = at.parent) parts.unshift(at.name);
  return joinParts(parts);
}

/** True for a version that is a folder. */
export function isFolder(version: Version): boolean {
  return version.inode ? version.inode.facts.type === 'directory' : version.implied === true;
}

/** True for a version that bears on whether the path is there: not one that only empties a folder of lower layers. */
export function decides(version: Version): boolean {
  return isPresent(version) || version.whiteout === true;
}

/** True for a version with something at the path, not only a deletion. */
export function isPresent(version: Version): boolean {
  return version.inode !== undefined || version.implied === true;
}

/**
 * Reads an image's layers into one tree. Whiteouts act on the layers below only, whatever their place in the tar, and a
 * name that comes twice in one layer is the last one's (OCI image spec, layer.md; the extractor of `layer` does the
 * same).
 */
export function buildStack(image: ExplainImage): Stack {
  const root = makeNode('', undefined);
  const inodes: Inode[] = [];
  for (const [index, layer] of image.layers.entries()) {
    const builder = new LayerBuilder(root, index, inodes);
    for (const entry of layer.entries) builder.add(entry);
  }
  return {
    root,
    inodes,
    layers: image.layers.map(({ diffId, instruction }, index) => ({
      index,
      ...(diffId === undefined ? {} : { diffId }),
      ...(instruction === undefined ? {} : { instruction }),
    })),
  };
}

function makeNode(name: string, parent: StackNode | undefined): StackNode {
  return { name, parent, children: new Map(), versions: [] };
}

/** The kernel gives up after 40 links in one path (path_resolution(7)). */
const maxLinks = 40;

class LayerBuilder {
  readonly #root: StackNode;
  readonly #layer: number;
  readonly #inodes: Inode[];
  /** The folder of the last entry: entries of a folder come together. */
  #lastFolder: { readonly path: string; readonly node: StackNode } | undefined;

  constructor(root: StackNode, layer: number, inodes: Inode[]) {
    this.#root = root;
    this.#layer = layer;
    this.#inodes = inodes;
  }

  add(entry: LayerEntry): void {
    const parts = pathParts(entry.path);
    const base = parts.pop();
    if (parts.some((part) => part.startsWith(metadataPrefix))) return;
    if (base === undefined) {
      if (entry.type === 'directory') this.#setFolder(this.#root, entry);
      return;
    }
    if (base.startsWith(metadataPrefix) && base !== opaqueName) return;
    // Deleting makes no folder: what is not below cannot be deleted, and what is has its folder there.
    if (base === opaqueName) {
      this.#version(this.#walk(parts, false)).opaque = true;
      return;
    }
    if (base.startsWith(whiteoutPrefix)) {
      const node = child(this.#walk(parts, false), base.slice(whiteoutPrefix.length));
      this.#version(node).whiteout = true;
      return;
    }
    const node = child(this.#folder(parts), base);
    if (entry.type === 'directory') this.#setFolder(node, entry);
    else if (entry.type === 'hardlink') this.#link(node, entry);
    else this.#setOther(node, this.#makeInode(node, entry));
  }

  #own(node: StackNode): Version | undefined {
    const last = node.versions.at(-1);
    return last?.layer === this.#layer ? last : undefined;
  }

  #version(node: StackNode): Version {
    let version = this.#own(node);
    if (!version) {
      version = { layer: this.#layer };
      node.versions.push(version);
    }
    return version;
  }

  /** The folder of a path, made where the layer has none; the layer's own links on the way are followed inside the root. */
  #folder(parts: readonly string[]): StackNode {
    const path = parts.join('/');
    if (this.#lastFolder?.path !== path) this.#lastFolder = { path, node: this.#walk(parts, true) };
    return this.#lastFolder.node;
  }

  #walk(parts: readonly string[], make: boolean): StackNode {
    let links = 0;
    let node = this.#root;
    const rest = [...parts];
    for (let part = rest.shift(); part !== undefined; part = rest.shift()) {
      if (part === '..') {
        node = node.parent ?? this.#root;
        continue;
      }
      const next = child(node, part);
      const own = this.#own(next);
      const facts = own?.inode?.facts;
      if (facts?.type === 'symlink' && links++ < maxLinks) {
        const target = facts.linkName ?? '';
        if (target.startsWith('/')) node = this.#root;
        rest.unshift(...target.split('/').filter((name) => name !== '' && name !== '.'));
        continue;
      }
      if (make && !(own && isFolder(own))) this.#imply(next);
      node = next;
    }
    return node;
  }

  #imply(node: StackNode): void {
    if (this.#own(node)?.inode) this.#clear(node);
    const version = this.#version(node);
    version.implied = true;
    if (version.whiteout) version.madeAnew = true;
  }

  #setFolder(node: StackNode, entry: LayerEntry): void {
    const own = this.#own(node);
    if (own?.inode && !isFolder(own)) this.#clear(node);
    const version = this.#version(node);
    version.implied = false;
    version.inode = this.#makeInode(node, entry);
  }

  #link(node: StackNode, entry: LayerEntry): void {
    const linkName = entry.linkName ?? '';
    // A link to itself says nothing.
    if (joinParts(pathParts(linkName)) === joinParts(pathParts(entry.path))) return;
    const target = this.#find(linkName);
    // A link to a layer below cannot be made from this layer alone; it brings no bytes.
    const inode = target ?? this.#makeInode(node, { ...entry, size: 0 });
    if (inode.names.has(node) && this.#own(node)?.inode === inode) return;
    this.#setOther(node, inode);
  }

  #find(path: string): Inode | undefined {
    const parts = pathParts(path);
    const base = parts.pop();
    if (base === undefined) return undefined;
    const found = this.#folder(parts).children.get(base);
    const inode = found && this.#own(found)?.inode;
    return inode?.facts.type === 'directory' ? undefined : inode;
  }

  #setOther(node: StackNode, inode: Inode): void {
    this.#clear(node);
    this.#version(node).inode = inode;
    inode.names.add(node);
    if (inode.facts.type === 'symlink') this.#lastFolder = undefined;
  }

  /** Takes away what the layer itself has at a path, with all below it: a later entry replaces an earlier one. */
  #clear(node: StackNode): void {
    const own = this.#own(node);
    if (!own) return;
    this.#lastFolder = undefined;
    own.inode?.names.delete(node);
    delete own.inode;
    delete own.implied;
    delete own.madeAnew;
    delete own.opaque;
    for (const below of node.children.values()) {
      const version = this.#own(below);
      if (!version) continue;
      this.#clear(below);
      below.versions.pop();
    }
  }

  #makeInode(node: StackNode, entry: LayerEntry): Inode {
    const { type, size, mode, uid, gid, mtime, linkName, digest } = entry;
    const inode: Inode = {
      layer: this.#layer,
      facts: {
        type,
        size,
        mode,
        uid,
        gid,
        mtime,
        ...(linkName === undefined ? {} : { linkName }),
        ...(digest === undefined ? {} : { digest }),
      },
      xattrs: entry.xattrs,
      names: new Set(),
      firstName: node,
    };
    if (type === 'file') this.#inodes.push(inode);
    return inode;
  }
}

function child(node: StackNode, name: string): StackNode {
  let found = node.children.get(name);
  if (!found) {
    found = makeNode(name, node);
    node.children.set(name, found);
  }
  return found;
}
