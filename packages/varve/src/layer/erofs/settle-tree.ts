import type { TimeSpec } from '../../linux/index.ts';
import { type BytePath, joinPath, splitPath } from '../names.ts';
import type { Xattr } from '../tar/entry.ts';
import { overlayXattrs } from '../whiteouts.ts';
import type { Inode } from './inode.ts';
import type { LayerTree } from './layer-tree.ts';

/** Parts of a layer whose meaning the layers below decide. */
export interface OpenQuestions {
  /** Names it deletes. */
  readonly whiteouts: readonly BytePath[];
  /** Folders without an entry of their own, parents first. */
  readonly folders: readonly BytePath[];
}

/** What a folder below looks like. */
export interface FolderAttributes {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtime: TimeSpec;
  readonly xattrs: readonly Xattr[];
}

/** The answers of the layers below. */
export interface Settlement {
  /** Whiteouts that hide nothing: listed by the kernel and found by nobody, so they go. */
  readonly idleWhiteouts: readonly BytePath[];
  /** In the order of the question: attributes to take over, or nothing where no folder lies below. */
  readonly folders: readonly { readonly path: BytePath; readonly below?: FolderAttributes }[];
}

/**
 * What a layer leaves to those below it. What its own opaque folders hide is settled here: nothing lies below that.
 */
export function openQuestions(tree: LayerTree): OpenQuestions {
  const whiteouts: BytePath[] = [];
  const folders: BytePath[] = [];
  const visit = (folder: Inode, path: BytePath, hidden: boolean): void => {
    for (const [name, inode] of folder.children ?? []) {
      const child = joinPath(path, name);
      if (inode.isWhiteout) {
        if (hidden) folder.children?.delete(name);
        else whiteouts.push(child);
      }
      if (!inode.children) continue;
      if (inode.implied && !hidden) folders.push(child);
      visit(inode, child, hidden || isOpaque(inode));
      if (hidden && inode.implied && inode.children.size === 0) folder.children?.delete(name);
    }
  };
  // The kernel merges the roots of all layers, whatever they say.
  visit(tree.root, '', false);
  return { whiteouts, folders };
}

/** Puts the answers into a tree of which {@link openQuestions} has been asked. */
export function settleTree(tree: LayerTree, { idleWhiteouts, folders }: Settlement): void {
  for (const path of idleWhiteouts) {
    const { parent, base } = splitPath(path);
    const names = tree.find(parent)?.children;
    if (names?.get(base)?.isWhiteout) names.delete(base);
  }
  for (const { path, below } of folders.toReversed()) {
    if (below) continue;
    const { parent, base } = splitPath(path);
    const names = tree.find(parent)?.children;
    if (names?.get(base)?.children?.size === 0) names.delete(base);
  }
  for (const { path, below } of folders) {
    const folder = tree.find(path);
    if (!below || !folder?.children) continue;
    folder.mode = folder.type | (below.mode & 0o7777);
    folder.uid = below.uid;
    folder.gid = below.gid;
    folder.mtime = below.mtime;
    for (const { name, value } of below.xattrs) folder.setXattr(name.toString('latin1'), value);
  }
}

function isOpaque(folder: Inode): boolean {
  return folder.xattrs?.has(overlayXattrs.opaque) === true;
}
